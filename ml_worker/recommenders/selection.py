"""The best of many scores: exact, in a reproducible order, without padding."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

NOT_OFFERED = np.float32(-np.inf)
"""The score of an item that must not be chosen."""


BLOCKS: Final = 4
"""Columns are looked at in so many times more blocks than are asked for: the best are among those no worse than the best blocks."""
CROWD: Final = 4
"""Rows in which equal scores leave more than so many times as many candidates as are asked for are thinned out first."""

_MAGNITUDE: Final = 0x7FFFFFFF
_LOWER: Final = 0xFFFFFFFF


class Best(NamedTuple):
    """The best columns of each row and their scores [rows × count], best first; behind `lengths` [rows] −1 and `NOT_OFFERED`."""

    items: NDArray[np.int32]
    scores: NDArray[np.float32]
    lengths: NDArray[np.int64]

    @classmethod
    def nothing(cls, rows: int, count: int) -> "Best":
        """For rows in which nothing is offered."""
        padding = np.full((rows, count), -1, dtype=np.int32), np.full((rows, count), NOT_OFFERED, dtype=np.float32)
        return cls(*padding, np.zeros(rows, dtype=np.int64))

    def widened(self, width: int) -> "Best":
        """The same with so many places a row, if there are fewer."""
        more = width - self.items.shape[1]
        if more <= 0:
            return self
        items = np.pad(self.items, ((0, 0), (0, more)), constant_values=-1)
        return Best(items, np.pad(self.scores, ((0, 0), (0, more)), constant_values=NOT_OFFERED), self.lengths)

    def cells(self) -> "Cells":
        """The same as cells."""
        row, place = np.nonzero(self.items >= 0)
        return row, self.items[row, place], self.scores[row, place]

    def put(self, rows: NDArray[np.integer] | list[int], other: "Best") -> None:
        """Replace some rows."""
        self.items[rows], self.scores[rows], self.lengths[rows] = other


Cells = tuple[NDArray[np.intp], NDArray[np.integer], NDArray[np.float32]]
"""Row, column and value of some entries of a matrix."""


def best_first(scores: NDArray[np.float32], *, count: int) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
    """`best_of` row by row, without padding."""
    best = best_of(scores, count=count)
    return [(best.items[row, :kept].copy(), best.scores[row, :kept].copy()) for row, kept in enumerate(best.lengths.tolist())]


def best_of(scores: NDArray[np.float32], *, count: int) -> Best:
    """For each row of `scores` [rows × columns] the `count` best columns and their scores, best first.

    Among equal scores the first column wins. Rows with fewer offered columns give fewer; with fewer columns all answers are shorter.
    """
    rows, columns = scores.shape
    count = min(count, columns)
    if not rows or not count:
        return best_of_cells([], shape=(rows, count))
    row, column = _candidates(scores, count)
    return best_of_cells([(row, column, scores[row, column])], shape=(rows, count))


def best_of_cells(cells: Sequence[Cells], *, shape: tuple[int, int]) -> Best:
    """`best_of` a matrix of which only these cells are offered; `shape` is that of the answer [rows × count]."""
    rows, count = shape
    row, column, value = (np.concatenate([part[number] for part in cells]) if cells else np.empty(0, dtype=np.intp) for number in range(3))
    found, place = _places(row, rows)
    keys = np.full((rows, max(count, int(found.max(initial=0)))), _NOTHING, dtype=np.int64)
    keys[row, place] = _key(value.astype(np.float32), column)
    # Whole numbers are sorted many times quicker than places by a stable sort.
    keys.sort(axis=1)
    return Best(*_told(keys[:, :count]), np.minimum(found, count))


def leave_out(scores: NDArray[np.float32], seen: csr_matrix, exclude: NDArray[np.bool_] | None = None) -> None:
    """Offer nothing that stands in `seen` [rows × columns], and no excluded column [columns]."""
    scores[np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr)), seen.indices] = NOT_OFFERED
    if exclude is not None:
        scores[:, np.flatnonzero(exclude)] = NOT_OFFERED


def count_broken(scores: NDArray[np.float32]) -> int:
    """How many rows have a number that is not finite. Such a number leaves no sum finite, and sums take no array of their own."""
    with np.errstate(over="ignore", invalid="ignore"):
        doubtful = np.flatnonzero(~np.isfinite(scores.sum(axis=1)))
    return int(np.count_nonzero(~np.isfinite(scores[doubtful]).all(axis=1)))


def bounds(scores: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """For each row a number that at least `count` entries reach: so many blocks have a maximum that does."""
    rows, columns = scores.shape
    blocks = BLOCKS * count
    depth = columns // blocks
    if depth <= 1:
        return np.partition(scores, columns - count, axis=1)[:, columns - count]
    # Block b has the columns b, b + blocks, …: maxima of whole stretches, which the processor takes many at a time.
    maxima = scores[:, : depth * blocks].reshape(rows, depth, blocks).max(axis=1)
    return np.partition(maxima, blocks - count, axis=1)[:, blocks - count]


def reaching(scores: NDArray[np.float32], least: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns, ascending, of the offered entries that are not below the least of their row [rows]."""
    # No score is between `NOT_OFFERED` and the least finite number.
    is_there = scores >= np.maximum(least, np.finfo(np.float32).min)[:, None]
    return _cells(is_there)


def _candidates(scores: NDArray[np.float32], count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns, ascending, of entries that have the `count` best of each row among them, and not many more."""
    columns = scores.shape[1]
    is_candidate = scores >= np.maximum(bounds(scores, count), np.finfo(np.float32).min)[:, None]
    for row in np.flatnonzero(np.count_nonzero(is_candidate, axis=1) > CROWD * max(count, BLOCKS)):
        worst = np.partition(scores[row], columns - count)[columns - count]
        is_candidate[row] = False
        is_candidate[row, _first_of_equals(scores[row], worst, count)] = True
        is_candidate[row] &= scores[row] > NOT_OFFERED
    return _cells(is_candidate)


def _cells(chosen: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    # Many times quicker than `nonzero` of two dimensions.
    cells = np.flatnonzero(chosen)
    return cells // chosen.shape[1], cells % chosen.shape[1]


def _first_of_equals(scores: NDArray[np.float32], worst: np.float32, count: int) -> NDArray[np.intp]:
    better = np.flatnonzero(scores > worst)
    return np.concatenate([better, np.flatnonzero(scores == worst)[: count - len(better)]])


def _places(row: NDArray[np.intp], rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many cells each row has, and the how manieth of its row each cell is."""
    found = np.bincount(row, minlength=rows)
    if len(row) and (np.diff(row) < 0).any():
        order = np.argsort(row, kind="stable")
        place = np.empty(len(row), dtype=np.int64)
        place[order] = np.arange(len(row)) - np.repeat(np.cumsum(found) - found, found)
        return found, place
    return found, np.arange(len(row)) - np.repeat(np.cumsum(found) - found, found)


def _key(value: NDArray[np.float32], column: NDArray[np.integer]) -> NDArray[np.int64]:
    """Numbers whose order is that of falling values, and of rising columns where these are equal."""
    # The bits of a float, but for the sign, rise with its magnitude; adding 0 makes one of the two zeros.
    bits = (value + np.float32(0)).view(np.int32)
    rising = bits ^ ((bits >> 31) & _MAGNITUDE)
    return (~rising).astype(np.int64) << 32 | column


_NOTHING: Final = int(_key(np.array([NOT_OFFERED]), np.array([_LOWER]))[0])


def _told(keys: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Columns and values of keys."""
    rising = ~(keys >> 32).astype(np.int32)
    return (keys & _LOWER).astype(np.uint32).view(np.int32), (rising ^ ((rising >> 31) & _MAGNITUDE)).view(np.float32)
