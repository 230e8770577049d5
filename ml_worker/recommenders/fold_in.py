"""The equations of users in factor models: solved for many at once, and what each item of a history adds to a score."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.recommenders.batches import GROUP_ROWS, alike, entries_of

_SHORT: Final = 2.0
"""Histories so many times shorter than there are factors have equations of their own."""
_SMALL: Final = 8
"""Matrices of no more rows are inverted as a whole."""
_EVEN: Final = 100.0
"""Up to this condition of G single precision solves as exactly as factors and scores are stored: what it loses is their rounding."""
KEPT_NUMBERS: Final = 1 << 24
"""Inverses that are larger together are not kept for the reasons (64 MB) but worked out once more."""


class Weighed(NamedTuple):
    """What the stored entries of histories weigh: their pull p, and what they add to the confidence, d [both entries]."""

    pulls: NDArray[np.floating]
    added: NDArray[np.floating]


class FoldIn:
    """Users x of fixed items Y: A·x = Σ p·y with A = G + Σ d·yᵀy, both sums over the items y [factors] of a history.

    G [factors × factors] is what everybody's equations begin with. What an entry of a history weighs are p, its pull, and d, what
    it adds to the confidence that G gave it (`Weighed`). A must be positive definite.
    """

    def __init__(self, factors: NDArray[np.float32], gram: NDArray[np.float64]) -> None:
        self.factors = factors
        inverse = np.linalg.inv(gram)
        is_even = np.linalg.norm(gram) * np.linalg.norm(inverse) <= _EVEN
        self.dtype: type[np.floating] = np.float32 if is_even else np.float64
        self.gram, self.inverse = gram.astype(self.dtype), inverse.astype(self.dtype)

    def asked(self, matrix: csr_matrix, weighed: Weighed, *, kept_numbers: int = KEPT_NUMBERS) -> "Equations":
        """The equations of the users of some histories."""
        return Equations(self, matrix, Weighed(*(told.astype(self.dtype) for told in weighed)), kept_numbers)


class Equations:
    """The equations of the users whose histories are the rows of a matrix."""

    def __init__(self, fold_in: FoldIn, matrix: csr_matrix, weighed: Weighed, kept_numbers: int) -> None:
        self._of = fold_in
        self._matrix = matrix
        self._weighed = weighed
        self._keeps = matrix.shape[0] * fold_in.gram.size <= kept_numbers
        self._kept: NDArray[np.floating] | None = None
        self._place_of = np.empty(0, dtype=np.intp)

    def users(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """x of the users in some rows [rows × factors], whose inverses are kept for `parts`."""
        size = len(self._of.gram)
        users = np.empty((len(rows), size), dtype=np.float32)
        kept = np.empty((len(rows) + 1, size, size), dtype=self._of.dtype) if self._keeps else None
        for start, places in self._chunks(rows):
            left = self._room(len(places)) if kept is None else kept[start : start + len(places)]
            users[places] = self._solve(rows[places], left)
        if kept is not None:
            kept[-1] = 0  # of whoever is asked about without having been solved
            self._kept, self._place_of = kept, np.full(self._matrix.shape[0], len(rows))
            for start, places in self._chunks(rows):
                self._place_of[rows[places]] = np.arange(start, start + len(places))
        return users

    def parts(self, rows: NDArray[np.intp], ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        """p·y·A⁻¹·v of each entry of the histories in some rows and the factors v of each item ranked there [rows × ranked].

        What the entry adds to the score: [rows × ranked × longest history], 0 behind the end of shorter ones.
        """
        inverted = self._inverses(rows)
        items, pull = self._entries(rows, self._weighed.pulls)
        items *= pull
        vectors = self._of.factors.take(ranked, axis=0).astype(self._of.dtype, copy=False)
        if items.shape[1] < vectors.shape[1]:
            items = items @ inverted
        else:
            vectors = vectors @ inverted
        parts: NDArray[np.floating] = vectors @ items.transpose(0, 2, 1)
        return parts

    def _inverses(self, rows: NDArray[np.intp]) -> NDArray[np.floating]:
        if self._kept is None:
            inverted = self._room(len(rows))
            for _, places in self._chunks(rows):
                self._solve(rows[places], some := self._room(len(places)))
                inverted[places] = some
            return inverted
        kept = self._place_of[rows]
        if len(kept) and (np.diff(kept) == 1).all():
            return self._kept[kept[0] : kept[0] + len(kept)]  # users of one length stand together
        return self._kept[kept]

    def _chunks(self, rows: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """The places of rows by the length of their histories, some at a time, with the number of those before."""
        order = np.argsort(np.diff(self._matrix.indptr)[rows], kind="stable")
        return ((start, order[start : start + GROUP_ROWS]) for start in range(0, len(order), GROUP_ROWS))

    def _room(self, count: int) -> NDArray[np.floating]:
        return np.empty((count, *self._of.gram.shape), dtype=self._of.dtype)

    def _solve(self, rows: NDArray[np.intp], left: NDArray[Any]) -> NDArray[np.floating]:
        """x of a few rows, from the shortest history to the longest; A⁻¹ goes into `left`."""
        size = len(self._of.gram)
        sides = np.empty((len(rows), 1, size), dtype=self._of.dtype)
        done = short = 0
        for some in alike(self._matrix, rows, size):  # in this very order
            here = slice(done, done := done + len(some))
            items, pull, more = self._entries(some, *self._weighed)
            np.matmul(pull.transpose(0, 2, 1), items, out=sides[here])
            if _SHORT * items.shape[1] < size:
                self._invert(items, more, left[here])
                short = done
            else:
                np.matmul(items.transpose(0, 2, 1), more * items, out=left[here])
                left[here] += self._of.gram
        if short < len(left):
            left[short:] = inverses(left[short:])
        users: NDArray[np.floating] = (sides @ left)[:, 0]
        return users

    def _entries(self, rows: NDArray[np.integer], *told: NDArray[Any]) -> list[NDArray[Any]]:
        """y of each entry of each history [rows × longest × factors] and what is told of it [rows × longest × 1], 0 behind the end."""
        entry, has = entries_of(self._matrix, rows)
        # Behind the end stands some item or other: it weighs nothing.
        items = self._of.factors.take(self._matrix.indices.take(entry), axis=0).astype(self._of.dtype, copy=False)
        return [items, *((weights.take(entry) * has)[:, :, None] for weights in told)]

    def _invert(self, items: NDArray[Any], more: NDArray[Any], out: NDArray[Any]) -> None:
        """A⁻¹ = G⁻¹ − Zᵀ·D·B⁻¹·Z with Z = Y·G⁻¹ and B = 1 + Z·Yᵀ·D, by Woodbury: as many equations as the history is long."""
        users, longest, factors = items.shape
        begun = (items.reshape(-1, factors) @ self._of.inverse).reshape(users, longest, factors)
        left = begun @ (more * items).transpose(0, 2, 1)
        left += np.eye(longest, dtype=self._of.dtype)
        np.matmul((more * begun).transpose(0, 2, 1), np.linalg.inv(left) @ begun, out=out)
        np.subtract(self._of.inverse, out, out=out)


def inverses(matrices: NDArray[Any]) -> NDArray[Any]:
    """The inverses of symmetric positive definite matrices [matrices × n × n], halved until they are small.

    With [A B; Bᵀ C] and S = C − Bᵀ·A⁻¹·B, whose inverse stands where C was. Products take most of the work, a third of the time that LAPACK
    takes one matrix after the other.
    """
    size = matrices.shape[1]
    if size <= _SMALL:
        return np.asarray(np.linalg.inv(matrices))
    half = size // 2
    across = matrices[:, :half, half:]
    first = inverses(matrices[:, :half, :half])
    spread = first @ across
    last = inverses(matrices[:, half:, half:] - across.transpose(0, 2, 1) @ spread)
    found, mixed = np.empty_like(matrices), spread @ last
    found[:, half:, half:] = last
    found[:, :half, half:] = -mixed
    found[:, half:, :half] = -mixed.transpose(0, 2, 1)
    np.add(first, mixed @ spread.transpose(0, 2, 1), out=found[:, :half, :half])
    return found
