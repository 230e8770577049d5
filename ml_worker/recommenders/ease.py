"""EASE+: one linear model from all liked items to every item, solved in closed form (Steck 2019, with dropout of Steck 2020)."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_matrix

from ml_worker.recommenders import linear
from ml_worker.recommenders.base import Arrays, Layout, Progress, Recommender, TrainingDiverged
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.neighbours import content_columns


class Ease(Recommender):
    """Scores s = x·B, where B [items × items] has a zero diagonal and predicts what users like from the rest of what they like.

    x is 1 where a user likes an item, −`dislike` where they dislike it, 0 elsewhere. With X [users × items]:
    G = Xᵀ diag((n/mean n)^−`user_weight`) X,  P = (G + diag(λ + p/(1−p)·diag G))⁻¹,  B = −P / diag P.
    The first term weighs users of long histories down; the second is what dropout of inputs with probability p does in expectation.
    (Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", 2019; "Autoencoders that don't overfit towards the Identity", 2020.)
    Only the `kept` largest weights of each row are kept. P is dense: beyond `dense_items` only the most popular items take part, and the
    others are ordered by popularity behind them. Items nobody liked get the mean column of the items nearest in content, where items have
    features.
    """

    name: ClassVar[str] = "ease"
    quality_floor: ClassVar[float] = 0.35  # measured: 0.361

    class Config(Recommender.Config):
        """The preset."""

        ridge: float = Field(default=200.0, gt=0, le=1e6, description="λ: how strongly weights are drawn to 0.")
        dropout: float = Field(default=0.5, ge=0, lt=1, description="p: the share of inputs dropped.")
        user_weight: float = Field(default=0.7, ge=0, le=2, description="How much users of long histories are weighed down.")
        dislike: float = Field(default=0.2, ge=0, le=1, description="How much a dislike counts against a like.")
        kept: int = Field(default=200, ge=1, le=100_000, description="Weights kept in each row.")
        dense_items: int = Field(default=10_000, ge=1, le=50_000, description="Most items solved for; memory grows with the square.")
        content_neighbours: int = Field(default=20, ge=1, le=1000, description="Whose columns items without likes inherit.")

    config: Config

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        matrix = linear.told(interactions.matrix(), self.config.dislike)
        chosen = linear.most_liked(matrix, self.config.dense_items)
        known = matrix[:, chosen]
        with linear.one_thread():
            weights = linear.user_weights(known, self.config.user_weight)
            system = linear.gram(known, weights, lambda done: progress(0.6 * done, "items compared"))
            diagonal = system.diagonal().copy()
            strength = self.config.dropout / (1 - self.config.dropout)
            system[np.diag_indices(len(chosen))] += self.config.ridge + strength * diagonal
            try:
                inverse = linear.invert(system)
            except linear.NotDefinite as error:
                raise TrainingDiverged(f"ease: {error}; after training with {self.config!r}") from error
        progress(0.9, "equations solved")
        kept = _weights(inverse, self.config.kept)
        whole = linear.spread(kept, chosen, len(interactions.item_ids))
        if interactions.item_features is not None:
            whole = content_columns(whole, interactions.item_features, chosen, self.config.content_neighbours)
        progress(1.0, f"{whole.nnz} weights kept")
        return linear.packed("effects", whole)

    @classmethod
    def _predicted_bytes(cls, config: Any, users: int, items: int, events: int) -> int:
        dense: int = min(items, config.dense_items)
        # The equations, a copy while they are added up, and a block of users; then the kept weights.
        kept: int = min(config.kept, dense)
        return 8 * dense**2 + 8 * linear.BLOCK_ROWS * dense + 24 * dense * kept

    def _layout(self, items: int) -> Layout:
        return linear.packed_layout("effects", items)

    def _prepare(self, arrays: Arrays) -> None:
        self._effects = linear.unpacked("effects", arrays)
        self._behind = linear.behind(arrays["popularity"])

    def _score(self, histories: Histories) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = (linear.told(histories.matrix, self.config.dislike) @ self._effects).toarray()
        scores += self._behind
        return scores

    def _contributions(self, history: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        return linear.parts(linear.told(history.matrix, self.config.dislike).data, self._effects, history, ranked)


def _weights(inverse: NDArray[np.float32], kept: int) -> csr_matrix:
    """B from P, in the place of P."""
    inverse /= -inverse.diagonal()[None, :].copy()
    np.fill_diagonal(inverse, 0)
    return linear.keep_largest(inverse, kept)
