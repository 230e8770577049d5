"""What the models have in common that serve by sparse weights between items: scores, and what each item of a history adds to them."""

from abc import abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.recommenders import linear
from ml_worker.recommenders.answers import Answer, PartsOf
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

    def _answer(self, histories: Histories) -> Answer:
        return WeightedAnswer(super()._answer(histories), self._effects, self._inputs)

    def _score(self, histories: Histories) -> NDArray[np.float32]:
        return self._effects.scores(self._inputs(histories), self._behind)

    def _contributions(self, history: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        contributions: NDArray[np.floating] = self._parts(history, ranked[None, :])[0]
        return contributions

    def _parts(self, histories: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        return self._effects.parts(histories.matrix, linear.said_of(histories.matrix, self._inputs(histories)), ranked)


class WeightedAnswer(Answer):
    """The answer of weights between items: those that the reasons of all users need are looked up together."""

    def __init__(self, given: Answer, effects: Effects, inputs: Callable[[Histories], csr_matrix]) -> None:
        super().__init__(given.histories, given.is_personal, score=given._score, parts=given._parts)
        self._effects = effects
        self._inputs = inputs

    def parts_of(self, ranked: NDArray[np.int32]) -> PartsOf:
        matrix = self.histories.matrix
        if not self._effects.is_small(matrix.indices, ranked):
            return super().parts_of(ranked)
        said = linear.said_of(matrix, self._inputs(self.histories))
        between = self._effects.between(matrix.indices, ranked)
        return lambda rows: between.parts(matrix, said, rows, ranked[rows])
