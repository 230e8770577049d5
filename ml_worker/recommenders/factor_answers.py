"""The answer of a model of factors: users are solved once for lists and reasons, and only items that may be in a list are scored."""

from collections.abc import Callable
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ml_worker.recommenders.answers import Answer
from ml_worker.recommenders.inner_product import InnerProductIndex
from ml_worker.recommenders.selection import Best, best_of, leave_out


class Factored(Protocol):
    """Where the factors of users come from, and what they are made of."""

    def users(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """The factors of the users in some rows of the histories [rows × factors]."""

    def parts(self, rows: NDArray[np.intp], ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        """As `Answer.parts`."""


class FactorAnswer(Answer):
    """An answer where the score of an item is u·v, its vector in the `index`, and u the `factored` history of the user.

    Who gets nothing personal is answered from an index of what is `popular`, vectors of length 1; who may have scores that are not finite
    from all scores, as by `given`.
    """

    def __init__(
        self,
        given: Answer,
        index: InnerProductIndex,
        *,
        factored: Factored,
        popular: Callable[[], InnerProductIndex],
    ) -> None:
        super().__init__(given.histories, given.is_personal, score=given._score, parts=given._parts)
        self._index = index
        self._factored = factored
        self._popular = popular

    @cached_property
    def _users(self) -> NDArray[np.float32]:
        """The factors of each user, 0 of who gets nothing personal [users × factors]."""
        users, personal = np.zeros((len(self.histories), self._index.vectors.shape[1]), dtype=np.float32), np.flatnonzero(self.is_personal)
        users[personal] = self._factored.users(personal)
        return users

    @cached_property
    def _is_quick(self) -> NDArray[np.bool_]:
        return self.is_personal & self._index.is_sure(self._users)

    def _scores(self) -> NDArray[np.float32]:
        if not self._is_quick.all():
            return super()._scores()
        scores: NDArray[np.float32] = self._users @ self._index.vectors.T
        return scores

    def _scores_of(self, rows: NDArray[np.intp], columns: NDArray[np.integer] | None) -> NDArray[np.float32]:
        if columns is None or not self._is_quick[rows].all():
            scores = self._score(self.histories.take(rows))
            return scores if columns is None else scores[:, columns]
        some: NDArray[np.float32] = self._users[rows] @ self._index.vectors.take(columns, axis=0).T
        return some

    def _best(self, count: int, exclude: NDArray[np.bool_] | None) -> Best:
        seen = self.histories.matrix
        if self._is_quick.all():
            return self._index.best(self._users, seen, count=count, exclude=exclude)
        best = Best.nothing(len(self.histories), min(count, seen.shape[1]))
        rows = np.flatnonzero(self._is_quick)
        best.put(rows, self._index.best(self._users[rows], seen[rows], count=count, exclude=exclude))
        rows = np.flatnonzero(~self.is_personal)
        best.put(rows, self._popular().best(np.ones((len(rows), 1), dtype=np.float32), seen[rows], count=count, exclude=exclude))
        rows = np.flatnonzero(self.is_personal & ~self._is_quick)
        scores = self._scores_of(rows, None)
        leave_out(scores, seen[rows], exclude)
        best.put(rows, best_of(scores, count=count))
        return best

    def parts(self, rows: NDArray[np.intp], ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        return self._factored.parts(rows, ranked)
