"""Popularity: the same order for everybody, without what they have seen; the baseline and everybody's cold answer."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ml_worker.recommenders.base import Arrays, Layout, Progress, Recommender
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.updating import Earlier


class Popular(Recommender):
    """What users together like most: the common `popularity` is all of its state, and no answer is personal."""

    name: ClassVar[str] = "popular"
    quality_floor: ClassVar[float] = 0.17  # measured: 0.178
    can_update: ClassVar[bool] = True

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        progress(1.0, f"{len(interactions)} interactions counted")
        return {}

    def _update(self, earlier: Earlier, progress: Progress) -> Arrays:
        progress(1.0, f"{len(earlier.interactions) - earlier.since} new interactions counted")
        return {}

    def _layout(self, items: int) -> Layout:
        return {}

    def _prepare(self, arrays: Arrays) -> None:
        pass

    def _find_personal(self, histories: Histories) -> NDArray[np.bool_]:
        return np.zeros(len(histories), dtype=np.bool_)

    def _score(self, histories: Histories) -> NDArray[np.float32]:
        return np.broadcast_to(self._popularity, histories.matrix.shape)

    def _contributions(self, history: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        return np.zeros((len(ranked), history.matrix.nnz))
