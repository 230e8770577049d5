"""Item neighbourhoods: whoever likes an item likes its nearest, by cosine (Sarwar et al. 2001) or by walks over users (RP3β)."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_matrix, vstack

from ml_worker.recommenders import linear
from ml_worker.recommenders.base import Arrays, Progress, Recommender
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.item_weights import ItemWeights


class ItemKnn(ItemWeights):
    """Scores s_j = Σ_i x_i·S_ij over the items i of the history. Of each column of S [items × items], for walks of each row, the
    `neighbours` largest are kept.

    x is 1 for a like, −`dislike` for a dislike, c_i the number of likes of i, G = XᵀX.
    cosine: S_ij = G_ij / (√(c_i·c_j) + `shrink`), which distrusts what few users have in common.
    rp3beta: S_ij = (Xᵀ diag(1/n) X)_ij / (c_i·c_j^`beta`), the chance to walk from i over a user to j, less for popular j
    (Paudel et al., "Updatable, Accurate, Diverse, and Scalable Recommendations for Interactive Applications", 2017).
    """

    name: ClassVar[str] = "item_knn"
    quality_floor: ClassVar[float] = 0.31  # measured: 0.321

    class Config(Recommender.Config):
        """The preset."""

        similarity: Literal["cosine", "rp3beta"] = Field(default="cosine", description="How nearness is measured.")
        neighbours: int = Field(default=100, ge=1, le=10_000, description="How many nearest items each item has.")
        shrink: float = Field(default=20.0, ge=0, le=1e6, description="Of cosine: how much nearness by few users is distrusted.")
        beta: float = Field(default=0.3, ge=0, le=2, description="Of rp3beta: how much popular items are held back.")
        dislike: float = Field(default=0.2, ge=0, le=1, description="How much a dislike counts against a like.")
        dense_items: int = Field(default=10_000, ge=1, le=50_000, description="Up to so many items all pairs are counted at once.")

    config: Config

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        likes = linear.told(interactions.matrix(), 0.0)
        likes.eliminate_zeros()
        counts = np.bincount(likes.indices, minlength=likes.shape[1]).astype(np.float32)
        kept = []
        for start, together in _together(likes, self.config):
            kept.append(linear.keep_largest(self._nearness(together, counts, start), self.config.neighbours))
            progress((start + len(together)) / likes.shape[1], f"{start + len(together)} items compared")
        nearest = vstack(kept).tocsr()
        # Cosine is symmetric: its rows may be taken for columns. A walk starts at the row.
        return linear.packed("effects", nearest.T.tocsr() if self.config.similarity == "cosine" else nearest)

    def _nearness(self, together: NDArray[np.float32], counts: NDArray[np.float32], start: int) -> NDArray[np.float32]:
        own = counts[start : start + len(together), None]
        if self.config.similarity == "cosine":
            both = np.sqrt(own * counts)
            nearness: NDArray[np.floating] = together / (both + np.float32(self.config.shrink) + (both == 0))
        else:
            nearness = together / (np.maximum(own, 1) * np.maximum(counts, 1) ** np.float32(self.config.beta))
        found: NDArray[np.float32] = nearness.astype(np.float32, copy=False)
        found[np.arange(len(together)), start + np.arange(len(together))] = 0
        return found

    @classmethod
    def _predicted_bytes(cls, config: Any, users: int, items: int, events: int) -> int:
        kept: int = 24 * items * min(config.neighbours, items)
        dense: int = 4 * min(items, config.dense_items) ** 2
        return dense + 12 * linear.BLOCK_ROWS * items + kept

    def _inputs(self, histories: Histories) -> csr_matrix:
        return linear.told(histories.matrix, self.config.dislike)


def _together(likes: csr_matrix, config: ItemKnn.Config) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """How many users like both, or how likely a walk is, in blocks of rows [items × items], each with its first row."""
    size = likes.shape[1]
    weights = linear.user_weights(likes, 1.0) if config.similarity == "rp3beta" else np.ones(likes.shape[0], dtype=np.float32)
    if size <= config.dense_items:
        with linear.one_thread():
            whole = linear.gram(likes, weights, lambda _done: None)
        yield from ((start, whole[start : start + linear.BLOCK_ROWS]) for start in range(0, size, linear.BLOCK_ROWS))
        return
    scaled = likes.multiply(weights[:, None]).tocsc()
    for start in range(0, size, linear.BLOCK_ROWS):
        yield start, (scaled[:, start : start + linear.BLOCK_ROWS].T @ likes).toarray().astype(np.float32)
