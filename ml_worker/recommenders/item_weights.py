"""What the models have in common that serve by sparse weights between items: scores, and what each item of a history adds to them."""

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.recommenders import linear
from ml_worker.recommenders.base import Arrays, Layout, Recommender
from ml_worker.recommenders.effects import Effects
from ml_worker.recommenders.interactions import Histories


class ItemWeights(Recommender):
    """Scores x·B with the weights B [items × items], the arrays `effects` of the state, and `_inputs` x of the histories.

    Items that no weight speaks of are ordered by popularity behind the others.
    """

    @abstractmethod
    def _inputs(self, histories: Histories) -> csr_matrix:
        """x [users × items]: nothing where `histories.matrix` stores nothing."""

    def _layout(self, items: int) -> Layout:
        return linear.packed_layout("effects", items)

    def _prepare(self, arrays: Arrays) -> None:
        self._effects = Effects(linear.unpacked("effects", arrays))
        self._behind = linear.behind(arrays["popularity"])

    def _score(self, histories: Histories) -> NDArray[np.float32]:
        return self._effects.scores(self._inputs(histories), self._behind)

    def _contributions(self, history: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        contributions: NDArray[np.floating] = self._parts(history, ranked[None, :])[0]
        return contributions

    def _parts(self, histories: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        said = linear.said_of(histories.matrix, self._inputs(histories))
        return self._effects.parts(histories.matrix, said, ranked)
