"""Exact maximum inner product search: items in the order of the lengths of their vectors, until no further one can be among the best."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.recommenders.selection import (
    NOT_OFFERED,
    Best,
    Cells,
    best_of_cells,
    bounds,
    reaching,
)

FIRST_ITEMS: Final = 1024
"""So many of the longest vectors are looked at for everybody: the best of them say how far it is worth going."""
SMALL: Final = 4096
"""A catalogue of no more items is looked at as a whole."""
STEP_ITEMS: Final = 2048
"""Then so many at a time: scores of 256 users that stay in the cache."""


class InnerProductIndex:
    """The vectors of items [items × factors], by which users are ranked as by the whole product u·vᵀ.

    Nobody's score of an item exceeds |u|·|v| (Cauchy-Schwarz), so what follows in the order of |v| need not be looked at once that is
    less than the count-th best so far (Teflioudi, Gemulla, Mykytiuk 2015, LEMP). Popular items have the long vectors: of 50,000
    a twentieth is enough. Where lengths differ little every item is looked at, but no array of all scores is made.
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.vectors = vectors  # as they are stored, which may be mapped: only their order is held beside them
        lengths = np.sqrt(np.einsum("if,if->i", vectors, vectors, dtype=np.float64))
        self._order = np.argsort(-lengths, kind="stable").astype(np.int32)
        # A little more than they are: products of float32 are rounded at every factor.
        slack = 1 + (vectors.shape[1] + 2) * float(np.finfo(np.float32).eps)
        self._lengths = (lengths[self._order] * slack).astype(np.float32)

    def is_sure(self, users: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whose scores are finite whatever the item [users]."""
        with np.errstate(over="ignore", invalid="ignore"):
            greatest = _lengths_of(users) * self._lengths.max(initial=0.0)
        return np.asarray(greatest < np.finfo(np.float32).max)

    def best(self, users: NDArray[np.float32], seen: csr_matrix, *, count: int, exclude: NDArray[np.bool_] | None = None) -> Best:
        """For each of `users` [users × factors] the `count` best items that are neither `seen` [users × items] nor excluded [items].

        As `best_of` the scores: among equal ones the first column wins. Everybody's scores must be finite.
        """
        order, lengths = self._order, self._lengths
        if exclude is not None and exclude.any():
            is_offered = ~exclude[order]
            order, lengths = order[is_offered], lengths[is_offered]
        if not (len(users) and len(order)):
            return best_of_cells([], shape=(len(users), min(count, seen.shape[1])))
        hidden, everybody = _Hidden(seen, order), np.arange(len(users))
        shape = len(users), min(count, seen.shape[1])
        head = len(order) if len(order) <= SMALL else min(max(FIRST_ITEMS, 4 * count), len(order))
        scores = self._scores(users, everybody, order, slice(0, head), hidden)
        row, place = reaching(scores, bounds(scores, min(count, head)))
        best = best_of_cells([(row, order[place], scores[row, place])], shape=shape)
        found: list[Cells] = []
        reach = _reach(users, lengths, best.scores[:, -1])
        begin = head
        while len(rows := np.flatnonzero(reach > begin)):
            end = min(begin + STEP_ITEMS, int(reach.max()))
            scores = self._scores(users, rows, order, slice(begin, end), hidden)
            of, place = reaching(scores, best.scores[rows, -1])
            found.append((rows[of], order[begin + place], scores[of, place]))
            begin = end
            # What was found raises what the next must reach; where lengths differ little it would be a crowd otherwise.
            if sum(len(some) for some, _, _ in found) > count * len(users) / 2:
                best, found = best_of_cells([best.cells(), *found], shape=shape), []
                reach = _reach(users, lengths, best.scores[:, -1])
        return best_of_cells([best.cells(), *found], shape=shape) if found else best

    def _scores(
        self, users: NDArray[np.float32], rows: NDArray[np.intp], order: NDArray[np.int32], stretch: slice, hidden: "_Hidden"
    ) -> NDArray[np.float32]:
        """Of some users and a stretch of the order; of what is seen `NOT_OFFERED`."""
        scores: NDArray[np.float32] = users[rows] @ self.vectors.take(order[stretch], axis=0).T
        hidden.leave_out(scores, rows, stretch)
        return scores


class _Hidden:
    """Who has seen what stands at a place of the order."""

    def __init__(self, seen: csr_matrix, order: NDArray[np.int32]) -> None:
        place_of = np.full(seen.shape[1], -1, dtype=np.int32)
        place_of[order] = np.arange(len(order), dtype=np.int32)
        self._place = place_of[seen.indices]
        self._row = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
        self._rows = seen.shape[0]

    def leave_out(self, scores: NDArray[np.float32], rows: NDArray[np.intp], stretch: slice) -> None:
        here = np.flatnonzero((self._place >= stretch.start) & (self._place < stretch.stop))
        line_of = np.full(self._rows, -1)
        line_of[rows] = np.arange(len(rows))
        line = line_of[self._row[here]]
        scores[line[line >= 0], self._place[here[line >= 0]] - stretch.start] = NOT_OFFERED


def _lengths_of(users: NDArray[np.float32]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.sqrt(np.einsum("uf,uf->u", users, users, dtype=np.float64))
    return lengths


def _reach(users: NDArray[np.float32], lengths: NDArray[np.float32], least: NDArray[np.float32]) -> NDArray[np.intp]:
    """How many items, longest first, may have a score that is not below the least [users]."""
    reach = np.full(len(users), len(lengths))
    of_users = _lengths_of(users)
    bounded = (least > 0) & (of_users > 0)  # the scores of all others may be as small
    reach[bounded] = np.searchsorted(-lengths, -(least[bounded] / of_users[bounded]), side="right")
    return reach
