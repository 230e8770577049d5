"""EASE+: one linear model from all liked items to every item, solved in closed form (Steck 2019, with dropout of Steck 2020)."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_matrix

from ml_worker.recommenders import linear
from ml_worker.recommenders.base import Arrays, Layout, Progress, Recommender, TrainingDiverged
from ml_worker.recommenders.effects import Effects
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.neighbours import content_columns
from ml_worker.recommenders.updating import Earlier, FullTrainingNeeded


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
    can_update: ClassVar[bool] = True
    quality_floor: ClassVar[float] = 0.35  # measured: 0.361

    class Config(Recommender.Config):
        """The preset."""

        ridge: float = Field(default=200.0, gt=0, le=1e6, description="λ: how strongly weights are drawn to 0.")
        dropout: float = Field(default=0.5, ge=0, lt=1, description="p: the share of inputs dropped.")
        user_weight: float = Field(default=0.7, ge=0, le=2, description="How much users of long histories are weighed down.")
        dislike: float = Field(default=0.2, ge=0, le=1, description="How much a dislike counts against a like.")
        kept: int = Field(default=200, ge=1, le=100_000, description="Weights kept in each row.")
        dense_items: int = Field(default=10_000, ge=1, le=50_000, description="Most items solved for; memory grows with the square.")
        updatable_items: int = Field(
            default=6000, ge=0, le=50_000, description="Up to so many items P is kept for partial training, 4 bytes a pair."
        )
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
        takes_part = np.zeros(len(interactions.item_ids), dtype=np.bool_)
        takes_part[chosen] = True
        updatable = linear.half(inverse) if len(chosen) <= self.config.updatable_items else np.empty(0, dtype=np.float32)
        kept = _weights(inverse, self.config.kept)
        whole = linear.spread(kept, chosen, len(interactions.item_ids))
        if interactions.item_features is not None:
            whole = content_columns(whole, interactions.item_features, chosen, self.config.content_neighbours)
        progress(1.0, f"{whole.nnz} weights kept")
        return {**linear.packed("effects", whole), "takes_part": takes_part, "inverse": updatable}

    def _update(self, earlier: Earlier, progress: Progress) -> Arrays:
        """Rows and columns of P of the items with new events, by the matrix inversion lemma; the rest of P stays.

        A user whose x becomes x' adds w·x'ᵀx' − w·xᵀx to G, so P' = P − RᵀK⁻¹R with R = [x'; x]·P and K = diag(1/w, −1/w) + R·[x'; x]ᵀ.
        The users are taken one by one for K and added up, those with new events of an item for its row: exact for one, to first order
        between several. x·P comes from the kept weights, as (x − x·B)∘diag P. What is added to the diagonal for dropout divides the rows
        and columns as if each item stood alone.
        """
        takes_part, items, known = earlier.moved("takes_part"), earlier.items, int(earlier.arrays["takes_part"].sum())
        if len(earlier.arrays["inverse"]) != known * (known + 1) // 2:
            limit = self.config.updatable_items
            raise FullTrainingNeeded(
                f"{known} items take part in this ease model; partial training needs at most updatable_items = {limit}"
            )
        effects, old = linear.moved("effects", earlier), np.flatnonzero(takes_part)
        takes_part[items] = True
        chosen = np.flatnonzero(takes_part)
        inverse = linear.whole(earlier.arrays["inverse"], np.searchsorted(chosen, old), len(chosen), self.config.ridge)
        touched = np.searchsorted(chosen, items)
        seen = [linear.told(matrix, self.config.dislike)[:, chosen].tocsr() for matrix in earlier.matrices()]
        mean = earlier.since / max(earlier.user_count(), 1)
        weights = (np.maximum(np.diff(seen[0].indptr), 1) / mean) ** -self.config.user_weight
        kept = effects
        if len(old) < len(takes_part):
            # Columns that were inherited from items alike in content say nothing about P.
            is_old = np.isin(chosen, old).astype(np.float32)
            kept = linear.times_columns(effects[chosen][:, chosen].tocsr(), is_old)
        rows = inverse[touched] - _corrections(seen, lambda said: _answers(said, kept, inverse.diagonal()), weights, touched)
        progress(0.5, f"{len(earlier.users)} users compared")
        squares = (seen[0].multiply(seen[0]) - seen[1].multiply(seen[1])).multiply(weights[:, None]).sum(axis=0)
        dropped = np.asarray(squares).ravel()[touched] * self.config.dropout / (1 - self.config.dropout)
        before, own = inverse[touched, touched], (np.arange(len(items)), touched)
        shrink = np.ones(len(chosen), dtype=np.float32)
        shrink[touched] = 1 / np.maximum(1 + before * dropped, 0.2)
        diagonal = np.maximum(rows[own] * shrink[touched], 0.1 * before)
        rows *= shrink[touched, None] * shrink
        rows[own] = diagonal
        inverse[touched], inverse[:, touched] = rows, rows.T
        across = np.zeros((len(items), len(takes_part)), dtype=np.float32)
        across[:, chosen] = -rows / inverse.diagonal()
        down = np.zeros((len(takes_part), len(items)), dtype=np.float32)
        down[chosen] = -rows.T / diagonal
        across[np.arange(len(items)), items] = down[items, np.arange(len(items))] = 0
        changed = linear.replaced(effects, items, across, down, kept=self.config.kept)
        progress(1.0, f"{len(items)} items solved again")
        return {**linear.packed("effects", changed), "takes_part": takes_part, "inverse": linear.half(inverse)}

    @classmethod
    def _predicted_bytes(cls, config: Any, users: int, items: int, events: int) -> int:
        dense: int = min(items, config.dense_items)
        # The equations, a copy while they are added up, and a block of users; then the kept weights.
        kept: int = min(config.kept, dense)
        return 8 * dense**2 + 8 * linear.BLOCK_ROWS * dense + 24 * dense * kept

    def _layout(self, items: int) -> Layout:
        return {**linear.packed_layout("effects", items), "takes_part": ((items,), np.bool_), "inverse": ((None,), np.float32)}

    def _prepare(self, arrays: Arrays) -> None:
        self._effects = Effects(linear.unpacked("effects", arrays))
        self._behind = linear.behind(arrays["popularity"])

    def _score(self, histories: Histories) -> NDArray[np.float32]:
        return self._effects.scores(linear.told(histories.matrix, self.config.dislike), self._behind)

    def _contributions(self, history: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        parts: NDArray[np.floating] = self._parts(history, ranked[None, :])[0]
        return parts

    def _parts(self, histories: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        return self._effects.parts(histories.matrix, linear.told(histories.matrix, self.config.dislike).data, ranked)


def _weights(inverse: NDArray[np.float32], kept: int) -> csr_matrix:
    """B from P, in the place of P."""
    inverse /= -inverse.diagonal()[None, :].copy()
    np.fill_diagonal(inverse, 0)
    return linear.keep_largest(inverse, kept)


def _answers(seen: csr_matrix, effects: csr_matrix, diagonal: NDArray[np.float32]) -> NDArray[np.float32]:
    """x·P of some users [users × items] from the sparse weights: P = −B·diag P beside the diagonal."""
    answers: NDArray[np.float32] = (seen @ effects).toarray()
    np.negative(answers, out=answers)
    answers[np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr)), seen.indices] += seen.data
    answers *= diagonal
    return answers


def _corrections(
    seen: Sequence[csr_matrix],
    answers: Callable[[csr_matrix], NDArray[np.float32]],
    weights: NDArray[np.floating],
    items: NDArray[np.integer],
) -> NDArray[np.float32]:
    """RᵀK⁻¹R added up over users, rows of `items` only [items × all items]; `seen` are x' and x of the users [users × items].

    `answers` multiplies by P. To the row of an item only the users add up for whom it changed.
    """
    changed = (seen[0] - seen[1]).tocsr()
    changed.eliminate_zeros()
    now = answers(seen[0])
    then = now - answers(changed)
    inner = np.empty((len(weights), 2, 2))
    for row, answer in enumerate((now, then)):
        for column, said in enumerate(seen):
            inner[:, row, column] = np.asarray(said.multiply(answer).sum(axis=1)).ravel()
    inner[:, 0, 0] += 1 / weights
    inner[:, 1, 1] -= 1 / weights
    solved = np.linalg.inv((inner + inner.transpose(0, 2, 1)) / 2).astype(np.float32)
    user = np.repeat(np.arange(len(weights)), np.diff(changed.indptr))
    item, shape = np.searchsorted(items, changed.indices), (len(items), len(weights))
    first = solved[user, 0, 0] * now[user, changed.indices] + solved[user, 1, 0] * then[user, changed.indices]
    second = solved[user, 0, 1] * now[user, changed.indices] + solved[user, 1, 1] * then[user, changed.indices]
    found: NDArray[np.float32] = (
        csr_matrix((first, (item, user)), shape=shape) @ now + csr_matrix((second, (item, user)), shape=shape) @ then
    )
    return found
