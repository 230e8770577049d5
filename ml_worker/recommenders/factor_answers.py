"""The answer of a model of factors: users are solved once for lists and reasons, and only items that may be in a list are scored."""

from collections.abc import Callable
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.recommenders.answers import Answer
from ml_worker.recommenders.batches import alike
from ml_worker.recommenders.inner_product import InnerProductIndex
from ml_worker.recommenders.selection import Best, best_of, leave_out

KEPT_NUMBERS: Final = 1 << 24
"""Terms of histories that are longer together are not kept for the reasons (64 MB) but worked out once more."""

Solving = Callable[[csr_matrix], NDArray[np.floating]]
"""What each entry of each history adds to the factors of its user [users × longest history × factors], 0 behind the end."""


class FactorAnswer(Answer):
    """An answer where the score of an item is u·v, and u the sum of the `terms` of the user's history.

    Who gets nothing personal, and who may have scores that are not finite, is answered from all scores as by `given`.
    """

    def __init__(self, given: Answer, index: InnerProductIndex, *, terms: Solving, kept_numbers: int = KEPT_NUMBERS) -> None:
        super().__init__(given.histories, given.is_personal, score=given._score, parts=given._parts)
        self._index = index
        self._terms_of = terms
        self._keeps_terms = given.histories.matrix.nnz * index.vectors.shape[1] <= kept_numbers

    @cached_property
    def _solved(self) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """The factors of each user [users × factors], and the terms of every stored entry of the histories [entries × factors]."""
        matrix, factors = self.histories.matrix, self._index.vectors.shape[1]
        users = np.zeros((len(self.histories), factors), dtype=np.float32)
        kept = np.empty((matrix.nnz, factors), dtype=np.float32) if self._keeps_terms else None
        for rows in alike(matrix, np.flatnonzero(self.is_personal), factors):
            terms = self._terms_of(matrix[rows])
            users[rows] = terms.sum(axis=1)
            if kept is not None:
                entries, has = _entries(matrix, rows)
                kept[entries[has]] = terms[has]
        return users, kept

    @property
    def _users(self) -> NDArray[np.float32]:
        return self._solved[0]

    @cached_property
    def _is_quick(self) -> NDArray[np.bool_]:
        return self.is_personal & self._index.is_sure(self._users)

    def _scores_of(self, rows: NDArray[np.intp], columns: NDArray[np.integer] | None) -> NDArray[np.float32]:
        if columns is None or not self._is_quick[rows].all():
            scores = self._score(self.histories.take(rows))
            return scores if columns is None else scores[:, columns]
        some: NDArray[np.float32] = self._users[rows] @ self._index.vectors.take(columns, axis=0).T
        return some

    def _best(self, count: int, exclude: NDArray[np.bool_] | None) -> Best:
        users, seen, is_quick = self._users, self.histories.matrix, self._is_quick
        if is_quick.all():
            return self._index.best(users, seen, count=count, exclude=exclude)
        best = Best.nothing(len(users), min(count, seen.shape[1]))
        quick, others = np.flatnonzero(is_quick), np.flatnonzero(~is_quick)
        best.put(quick, self._index.best(users[quick], seen[quick], count=count, exclude=exclude))
        scores = self._scores_of(others, None)
        leave_out(scores, seen[others], exclude)
        best.put(others, best_of(scores, count=count))
        return best

    def parts(self, rows: NDArray[np.intp], ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        kept = self._solved[1]
        if kept is None:
            return super().parts(rows, ranked)
        entries, has = _entries(self.histories.matrix, rows)
        terms = kept[entries]
        terms[~has] = 0
        parts: NDArray[np.floating] = self._index.vectors.take(ranked, axis=0) @ terms.transpose(0, 2, 1)
        return parts


def _entries(matrix: csr_matrix, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where the entries of some rows are stored [rows × longest], and which of these there are."""
    lengths = np.diff(matrix.indptr)[rows]
    place = np.arange(int(lengths.max(initial=0)))
    has = place < lengths[:, None]
    return np.where(has, matrix.indptr[rows, None] + place, 0), has
