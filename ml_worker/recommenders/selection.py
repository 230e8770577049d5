"""The best of many scores: exact, in a reproducible order, without padding."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

NOT_OFFERED = np.float32(-np.inf)
"""The score of an item that must not be chosen."""


BLOCKS: Final = 4
"""Columns are looked at in so many times more blocks than are asked for: the best are among those no worse than the best blocks."""
CROWD: Final = 4
"""Rows in which equal scores leave more than so many times as many candidates as are asked for are thinned out first."""


class Best(NamedTuple):
    """The best columns of each row and their scores [rows × count], best first; behind `lengths` [rows] −1 and `NOT_OFFERED`."""

    items: NDArray[np.int32]
    scores: NDArray[np.float32]
    lengths: NDArray[np.int64]


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
        nothing = np.empty((rows, count))
        return Best(nothing.astype(np.int32), nothing.astype(np.float32), np.zeros(rows, dtype=np.int64))
    row, column = _candidates(scores, count)
    found = np.bincount(row, minlength=rows)
    place = np.arange(len(row)) - np.repeat(np.cumsum(found) - found, found)
    width = max(count, int(found.max(initial=0)))
    items, values = np.full((rows, width), -1, dtype=np.int32), np.full((rows, width), NOT_OFFERED, dtype=np.float32)
    items[row, place], values[row, place] = column, scores[row, column]
    # Stable, and the candidates ascend: the first of equals stays first.
    order = np.argsort(-values, axis=1, kind="stable")[:, :count]
    return Best(np.take_along_axis(items, order, axis=1), np.take_along_axis(values, order, axis=1), np.minimum(found, count))


def count_broken(scores: NDArray[np.float32]) -> int:
    """How many rows have a number that is not finite. Such a number leaves no sum finite, and sums take no array of their own."""
    with np.errstate(over="ignore", invalid="ignore"):
        doubtful = np.flatnonzero(~np.isfinite(scores.sum(axis=1)))
    return int(np.count_nonzero(~np.isfinite(scores[doubtful]).all(axis=1)))


def _candidates(scores: NDArray[np.float32], count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns, ascending, of entries that have the `count` best of each row among them, and not many more."""
    columns = scores.shape[1]
    least = _bound(scores, count)
    is_candidate = scores >= least[:, None]
    is_candidate &= scores > NOT_OFFERED
    for row in np.flatnonzero(np.count_nonzero(is_candidate, axis=1) > CROWD * max(count, BLOCKS)):
        worst = np.partition(scores[row], columns - count)[columns - count]
        is_candidate[row] = False
        is_candidate[row, _first_of_equals(scores[row], worst, count)] = True
        is_candidate[row] &= scores[row] > NOT_OFFERED
    # Many times quicker than `nonzero` of two dimensions.
    cells = np.flatnonzero(is_candidate)
    return cells // columns, cells % columns


def _bound(scores: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """For each row a number that at least `count` entries reach: so many blocks have a maximum that does."""
    rows, columns = scores.shape
    blocks = BLOCKS * count
    depth = columns // blocks
    if depth <= 1:
        return np.partition(scores, columns - count, axis=1)[:, columns - count]
    # Block b has the columns b, b + blocks, …: maxima of whole stretches, which the processor takes many at a time.
    maxima = scores[:, : depth * blocks].reshape(rows, depth, blocks).max(axis=1)
    return np.partition(maxima, blocks - count, axis=1)[:, blocks - count]


def _first_of_equals(scores: NDArray[np.float32], worst: np.float32, count: int) -> NDArray[np.intp]:
    better = np.flatnonzero(scores > worst)
    return np.concatenate([better, np.flatnonzero(scores == worst)[: count - len(better)]])
