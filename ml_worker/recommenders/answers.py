"""What a model says to some users: their scores, the best of them, and what in their histories speaks for it."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_worker.recommenders.batches import alike, strongest
from ml_worker.recommenders.interactions import Histories
from ml_worker.recommenders.selection import Best, best_of, leave_out

Scoring = Callable[[Histories], NDArray[np.float32]]
"""The scores of all items [users × items], in an array that may be written into."""
PartsOf = Callable[[NDArray[np.intp]], NDArray[np.floating]]
"""As `Answer.parts` of rankings that were given before, by the rows of users."""
Parting = Callable[[Histories, NDArray[np.int32]], NDArray[np.floating]]
"""What each item of the histories adds to each ranked item [users × ranked × longest history], 0 behind the end of shorter ones."""


class MismatchedHistories(Exception):
    """Histories, rankings or exclusions that do not fit the model or each other."""


class InvalidCount(Exception):
    """Fewer than one result was asked for."""


class Answer:
    """The answer of a model to `histories`; `is_personal` [users] says who gets one of its own, and who the popular items.

    Nothing is worked out before it is asked for, and what was worked out stays for the next question. An algorithm that finds the best
    without all scores, or that has the reasons at hand when it has scored, makes an answer of its own.
    """

    def __init__(self, histories: Histories, is_personal: NDArray[np.bool_], *, score: Scoring, parts: Parting) -> None:
        self.histories = histories
        self.is_personal = is_personal
        self._score = score
        self._parts = parts

    @cached_property
    def scores(self) -> NDArray[np.float32]:
        """The score of every item for every user [users × items], what was seen included."""
        return self._scores()

    def scores_of(self, rows: ArrayLike, columns: NDArray[np.integer] | None = None) -> NDArray[np.float32]:
        """`scores` of some users, and of some items if these are named, as an array of its own."""
        return self._scores_of(np.asarray(rows, dtype=np.intp), columns)

    def best(self, *, count: int, exclude: NDArray[np.bool_] | None = None) -> Best:
        """For each user the `count` best items, never one that is seen or excluded [items]; narrower where there are fewer items.

        Raises `MismatchedHistories`, `InvalidCount`, `ScoresNotFinite`.
        """
        items = self.histories.matrix.shape[1]
        if count < 1:
            raise InvalidCount(f"{count} recommendations were asked for; at least 1 is possible")
        if exclude is not None and (exclude.shape != (items,) or exclude.dtype != np.bool_):
            raise MismatchedHistories(f"exclude is {exclude.dtype} {exclude.shape}, the model needs bool ({items},)")
        return self._best(count, exclude)

    def speakers(self, ranked: NDArray[np.int32], *, count: int = 3) -> NDArray[np.int32]:
        """For each ranked item the up to `count` liked items of the user's history that speak most for it, strongest first.

        `ranked` [users × ranked] and the answer [users × ranked × count] are padded with −1. Nothing speaks where the answer is not
        personal. Raises `MismatchedHistories`, `InvalidCount`.
        """
        items = self.histories.matrix.shape[1]
        if count < 1:
            raise InvalidCount(f"{count} reasons were asked for; at least 1 is possible")
        if len(ranked) != len(self.histories):
            raise MismatchedHistories(f"{len(ranked)} rankings do not belong to {len(self.histories)} histories")
        if ranked.size and not -1 <= ranked.min() <= ranked.max() < items:
            raise MismatchedHistories(f"a ranking names an item outside the model's {items}")
        told = np.full((*ranked.shape, count), -1, dtype=np.int32)
        if told.size:
            parts = self.parts_of(ranked)
            for rows in alike(self.histories.matrix, np.flatnonzero(self.is_personal), ranked.shape[1]):
                told[rows] = strongest(parts(rows), self.histories.matrix, rows, count)
            told[ranked < 0] = -1
        return told

    def parts(self, rows: NDArray[np.intp], ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        """What each item of the histories of some users adds to the score of each item in their row of `ranked`, as an array to write into.

        [users × ranked × longest history], 0 behind the end of shorter ones; of −1 in `ranked` anything may be said.
        """
        return self._parts(self.histories.take(rows), ranked)

    def parts_of(self, ranked: NDArray[np.int32]) -> PartsOf:
        """`parts` of the rankings of all users [users × ranked]: what many of them need is worked out here once."""
        return lambda rows: self.parts(rows, ranked[rows])

    def _scores(self) -> NDArray[np.float32]:
        return self._score(self.histories)

    def _scores_of(self, rows: NDArray[np.intp], columns: NDArray[np.integer] | None) -> NDArray[np.float32]:
        return self.scores[rows] if columns is None else self.scores[np.ix_(rows, columns)]

    def _best(self, count: int, exclude: NDArray[np.bool_] | None) -> Best:
        # In place, for a copy would take as long as the choice; what was there before is put back.
        scores, seen = self.scores, self.histories.matrix
        cells = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr)), seen.indices
        hidden = np.empty(0, dtype=np.intp) if exclude is None else np.flatnonzero(exclude)
        before = scores[cells], scores[:, hidden]
        leave_out(scores, seen, exclude)
        best = best_of(scores, count=count)
        scores[:, hidden] = before[1]
        scores[cells] = before[0]
        return best
