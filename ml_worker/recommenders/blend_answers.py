"""The answer of what is made of parts: they are asked once, for the scores and for the reasons."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml_worker.recommenders.answers import Answer, PartsOf, Scoring
from ml_worker.recommenders.interactions import Histories


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A part that has scored some users; what it says for an item counts `scale` [users] in the blend, 0 where it is not personal."""

    answer: Answer
    weight: float
    scale: NDArray[np.floating]


Keeping = Callable[[Asked], None]


class BlendAnswer(Answer):
    """The answer of what is made of parts: those that were asked for the scores are not asked for them again to tell the reasons.

    `ask` scores the users who get a personal answer, and hands over the parts as they were asked.
    """

    def __init__(
        self,
        given: Answer,
        ask: Callable[[Histories, Keeping], NDArray[np.float32]],
        *,
        score_all: Callable[[Histories, Scoring], NDArray[np.float32]],
    ) -> None:
        super().__init__(given.histories, given.is_personal, score=given._score, parts=given._parts)
        self._line = np.cumsum(given.is_personal) - 1
        self._ask, self._score_all = ask, score_all
        self._asked: list[Asked] = []

    def parts(self, rows: NDArray[np.intp], ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        if not self._asked:
            return super().parts(rows, ranked)
        given = np.zeros((int(self.is_personal.sum()), ranked.shape[1]), dtype=np.int32)
        given[self._line[rows]] = ranked
        return self._added(given)(rows)

    def parts_of(self, ranked: NDArray[np.int32]) -> PartsOf:
        return self._added(ranked[self.is_personal]) if self._asked else super().parts_of(ranked)

    def _added(self, ranked: NDArray[np.int32]) -> PartsOf:
        """What all parts add to the rankings of those who were asked about [lines × ranked]."""
        partings = [(asked.scale, asked.answer.parts_of(ranked)) for asked in self._asked]

        def added(rows: NDArray[np.intp]) -> NDArray[np.floating]:
            lines, matrix = self._line[rows], self.histories.matrix
            total = np.zeros((len(rows), ranked.shape[1], int(np.diff(matrix.indptr)[rows].max(initial=0))))
            for scale, parts in partings:
                if scale[lines].any():
                    total += scale[lines, None, None] * parts(lines)
            return total

        return added

    def _scores(self) -> NDArray[np.float32]:
        self._asked = []
        return self._score_all(self.histories, lambda histories: self._ask(histories, self._asked.append))
