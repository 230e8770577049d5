"""The weights of a linear model as it serves: the scores of many users, and what each item of their histories adds to them."""

import threading
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.recommenders.batches import entries_of

MANY_USERS: Final = 64
"""Reasons for so many at once are looked up in the weights as a dense matrix."""
DENSE_CELLS: Final = 1 << 24
"""As long as that has at most so many cells (64 MB); it is made when it is first wanted, and stays with the model.

Where it has more, the weights between what some users have met and what is ranked for them are made dense for these, up to as many.
"""


class Effects:
    """Sparse weights B [items × items]; histories x answer with x·B."""

    def __init__(self, weights: csr_matrix) -> None:
        self.weights = weights
        self._dense: NDArray[np.float32] | None = None
        self._lock = threading.Lock()

    def scores(self, said: csr_matrix, behind: NDArray[np.float32]) -> NDArray[np.float32]:
        """x·B for the rows x of `said` [users × items], and `behind` [items] added to each.

        The sparse product, also for many: the dense one waits for memory, more so where other processes use it too.
        """
        self._prepare_for(said.shape[0])
        scores: NDArray[np.float32] = (said @ self.weights).toarray()
        scores += behind
        return scores

    def parts(self, matrix: csr_matrix, said: NDArray[np.float32], ranked: NDArray[np.int32]) -> NDArray[np.float32]:
        """What each stored entry of each row of `matrix` adds to the score of each item in the same row of `ranked`.

        `said` is what the entries of `matrix` [users × items] say, in its order; of −1 in `ranked` [users × ranked] anything may be said.
        Answers [users × ranked × longest row of `matrix`], 0 behind the end of shorter rows.
        """
        return self.between(matrix.indices, ranked).parts(matrix, said, np.arange(len(ranked)), ranked)

    def is_small(self, met: NDArray[np.integer], ranked: NDArray[np.integer]) -> bool:
        """Whether `between` has no more than `DENSE_CELLS`."""
        size = self.weights.shape[0]
        return self._dense is not None or len(_distinct(met, size)) * len(_distinct(np.maximum(ranked, 0), size)) <= DENSE_CELLS

    def between(self, met: NDArray[np.integer], ranked: NDArray[np.integer]) -> "Between":
        """The weights from all items met to all items ranked, where −1 stands for any."""
        size = self.weights.shape[0]
        if self._dense is not None:
            return Between(self._dense, np.arange(size), np.arange(size))
        rows, columns = _distinct(met, size), _distinct(np.maximum(ranked, 0), size)
        return Between(self.weights[rows][:, columns].toarray(), _places(rows, size), _places(columns, size))

    def _prepare_for(self, users: int) -> None:
        if users < MANY_USERS or self._dense is not None or np.prod(self.weights.shape, dtype=np.int64) > DENSE_CELLS:
            return
        with self._lock:
            if self._dense is None:
                self._dense = np.ascontiguousarray(self.weights.toarray(), dtype=np.float32)


class Between(NamedTuple):
    """Weights between some items, as a dense matrix that is quick to look up in, and where an item has its row and column there."""

    weights: NDArray[np.float32]
    row_of: NDArray[np.intp]  # [items]
    column_of: NDArray[np.intp]  # [items]

    def parts(
        self, matrix: csr_matrix, said: NDArray[np.float32], rows: NDArray[np.integer], ranked: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        """As `Effects.parts`, for some rows of `matrix` and the items ranked for each of them."""
        entry, has = entries_of(matrix, rows)
        begins = self.row_of.take(matrix.indices.take(entry)) * self.weights.shape[1]
        cells = begins[:, None, :] + self.column_of.take(np.maximum(ranked, 0))[:, :, None]
        found: NDArray[np.float32] = self.weights.ravel().take(cells, mode="clip") if cells.size else np.zeros(cells.shape, np.float32)
        found *= (said.take(entry) * has)[:, None, :]
        return found


def _distinct(items: NDArray[np.integer], size: int) -> NDArray[np.intp]:
    is_there = np.zeros(size, dtype=np.bool_)
    is_there[items] = True
    return np.flatnonzero(is_there)


def _places(items: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    places = np.zeros(size, dtype=np.intp)
    places[items] = np.arange(len(items))
    return places
