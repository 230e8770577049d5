"""The weights of a linear model as it serves: the scores of many users, and what each item of their histories adds to them."""

import threading
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

MANY_USERS: Final = 64
"""Reasons for so many at once are looked up in the weights as a dense matrix."""
DENSE_CELLS: Final = 1 << 24
"""As long as that has at most so many cells (64 MB); it is made when it is first wanted, and stays with the model."""


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
        lengths = np.diff(matrix.indptr)
        place = np.arange(int(lengths.max(initial=0)))
        has = place < lengths[:, None]
        found = np.zeros((*ranked.shape, len(place)), dtype=np.float32)
        if not found.size:
            return found
        dense = self._dense  # made where many were ranked; for the reasons of a few it is not worth it
        if dense is None:
            self._scatter(found, matrix, said, ranked)
            return found
        entry = np.where(has, matrix.indptr[:-1, None] + place, 0)
        cells = matrix.indices[entry].astype(np.int64)[:, None, :] * dense.shape[1] + np.maximum(ranked, 0)[:, :, None]
        np.take(dense.ravel(), cells, out=found, mode="clip")
        found *= np.where(has, said[entry], np.float32(0))[:, None, :]
        return found

    def _scatter(self, found: NDArray[np.float32], matrix: csr_matrix, said: NDArray[np.float32], ranked: NDArray[np.int32]) -> None:
        users, items = matrix.shape
        rank_of = np.full(users * items, -1, dtype=np.int32)
        user, rank = np.nonzero(ranked >= 0)
        rank_of[user * items + ranked[user, rank]] = rank
        rows, of_user = self.weights[matrix.indices], np.repeat(np.arange(users), np.diff(matrix.indptr))
        lengths = np.diff(rows.indptr)
        # Flat places, and all that follows only for the few weights that go to ranked items: there are many times more others.
        ranks = rank_of.take(np.repeat(of_user * items, lengths) + rows.indices)
        kept = np.flatnonzero(ranks >= 0)
        entry = np.repeat(np.arange(matrix.nnz), lengths).take(kept)
        owner = of_user.take(entry)
        places = (owner * ranked.shape[1] + ranks.take(kept)) * found.shape[2] + entry - matrix.indptr.take(owner)
        found.reshape(-1)[places] = rows.data.take(kept) * said.take(entry)

    def _prepare_for(self, users: int) -> None:
        if users < MANY_USERS or self._dense is not None or np.prod(self.weights.shape, dtype=np.int64) > DENSE_CELLS:
            return
        with self._lock:
            if self._dense is None:
                self._dense = np.ascontiguousarray(self.weights.toarray(), dtype=np.float32)
