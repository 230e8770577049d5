"""The best of many scores: exact, in a reproducible order, without padding."""

import numpy as np
from numpy.typing import NDArray

NOT_OFFERED = np.float32(-np.inf)
"""The score of an item that must not be chosen."""


def best_first(scores: NDArray[np.float32], *, count: int) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
    """For each row of `scores` [rows × items] the `count` best columns and their scores, best first.

    Among equal scores the first column wins. Rows with fewer offered columns give fewer.
    """
    rows, columns = scores.shape
    count = min(count, columns)
    if not rows or not count:
        return [(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)) for _ in range(rows)]
    chosen = np.argpartition(scores, columns - count, axis=1)[:, columns - count :]
    worst = np.take_along_axis(scores, chosen, axis=1).min(axis=1)
    # The partition leaves open which of several equal scores at the border are in.
    is_open = (np.count_nonzero(scores >= worst[:, None], axis=1) > count) & (worst > NOT_OFFERED)
    for row in np.flatnonzero(is_open):
        chosen[row] = _first_of_equals(scores[row], worst[row], count)
    values = np.take_along_axis(scores, chosen, axis=1)
    order = np.lexsort((chosen, -values), axis=1)
    items = np.take_along_axis(chosen, order, axis=1).astype(np.int32)
    values = np.take_along_axis(values, order, axis=1)
    offered = np.count_nonzero(values > NOT_OFFERED, axis=1)
    return [(items[row, :kept].copy(), values[row, :kept].copy()) for row, kept in enumerate(offered)]


def _first_of_equals(scores: NDArray[np.float32], worst: np.float32, count: int) -> NDArray[np.intp]:
    better = np.flatnonzero(scores > worst)
    return np.concatenate([better, np.flatnonzero(scores == worst)[: count - len(better)]])
