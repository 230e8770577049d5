"""Popularity: the same order for everybody, without what they have seen; the baseline and everybody's cold answer."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.recommenders.base import Arrays, Layout, Progress, Recommender
from ml_worker.recommenders.interactions import Interactions


class Popular(Recommender):
    """What users together like most: the common `popularity` is all of its state, and no answer is personal."""

    name: ClassVar[str] = "popular"
    quality_floor: ClassVar[float] = 0.17  # measured: 0.178

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        progress(1.0, f"{len(interactions)} interactions counted")
        return {}

    def _layout(self, items: int) -> Layout:
        return {}

    def _prepare(self, arrays: Arrays) -> None:
        pass

    def _find_personal(self, matrix: csr_matrix) -> NDArray[np.bool_]:
        return np.zeros(matrix.shape[0], dtype=np.bool_)

    def _score(self, matrix: csr_matrix) -> NDArray[np.float32]:
        return np.broadcast_to(self._popularity, matrix.shape)

    def _contributions(self, history: NDArray[np.int32], weights: NDArray[np.float32], ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        return np.zeros((len(ranked), len(history)))
