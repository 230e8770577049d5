"""Items that are liked together: a recommender of another package, as small as one can be."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ml_worker.recommenders.base import Arrays, Layout, Progress, Recommender
from ml_worker.recommenders.interactions import Histories, Interactions


class Together(Recommender):
    """The score of an item is Σ n(i, j) / (n(i) · n(j))^damping over the items i that the user likes.

    n(i, j) users like both, n(i) like one. `together` is dense, float32 [items × items]: for catalogues of some thousands.
    """

    name: ClassVar[str] = "together"
    quality_floor: ClassVar[float] = 0.26  # measured: 0.267

    class Config(Recommender.Config):
        """What can be chosen; saved with the model, and given by `parameters` of a `train` task."""

        damping: float = Field(default=0.5, ge=0, le=1, description="How much the popularity of items is taken out: 0.5 is the cosine.")

    config: Config

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        liked = (interactions.matrix() > 0).astype(np.float32)
        counts = (liked.T @ liked).toarray()
        progress(0.5, "counted what is liked together")
        sizes = np.maximum(counts.diagonal(), 1) ** self.config.damping
        np.fill_diagonal(counts, 0)
        together = (counts / np.outer(sizes, sizes)).astype(np.float32)
        progress(1.0, "divided by popularity")
        return {"together": together}

    @classmethod
    def _predicted_bytes(cls, config: "Together.Config", users: int, items: int, events: int) -> int:
        return 16 * items**2  # the counts, their scale, and the quotient

    def _layout(self, items: int) -> Layout:
        return {"together": ((items, items), np.float32)}

    def _prepare(self, arrays: Arrays) -> None:
        self._together = arrays["together"]

    def _score(self, histories: Histories) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = (histories.matrix @ self._together).astype(np.float32)
        return scores

    def _contributions(self, history: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        speaks: NDArray[np.floating] = (self._together[history.matrix.indices][:, ranked] * history.matrix.data[:, None]).T
        return speaks
