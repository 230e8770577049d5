"""The equations of users in factor models: solved for many at once, each user's answer as a sum over the items of the history."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

_SHORT: Final = 1.5
"""Histories so many times shorter than there are factors have equations of their own."""


class FoldIn:
    """Users x of fixed items Y: A·x = Σ p·y with A = G + Σ d·yᵀy, both sums over the items y [factors] of a history.

    G [factors × factors] is what everybody's equations begin with. What an entry of a history weighs are p, its pull, and d, what
    it adds to the confidence that G gave it. A must be positive definite.
    """

    def __init__(self, factors: NDArray[np.float32], gram: NDArray[np.float64]) -> None:
        self._factors = factors
        self._gram = gram
        self._inverse = np.linalg.inv(gram)

    def users(self, matrix: csr_matrix, pulls: NDArray[np.floating], added: NDArray[np.floating]) -> NDArray[np.floating]:
        """x of each history [users × factors]. `pulls` and `added` are p and d of the stored entries of `matrix` [users × items]."""
        items, pull, more = self._entries(matrix, pulls, added)
        users: NDArray[np.floating]
        if _SHORT * items.shape[1] < len(self._gram):
            begun, left = self._by_entries(items, more)
            users = (np.linalg.solve(left.transpose(0, 2, 1), pull).transpose(0, 2, 1) @ begun)[:, 0]
        else:
            users = np.linalg.solve(self._by_factors(items, more), items.transpose(0, 2, 1) @ pull)[:, :, 0]
        return users

    def terms(self, matrix: csr_matrix, pulls: NDArray[np.floating], added: NDArray[np.floating]) -> NDArray[np.floating]:
        """p·A⁻¹·y of each entry of the histories, whose sum is the user: [users × longest history × factors], 0 behind the end."""
        items, pull, more = self._entries(matrix, pulls, added)
        if _SHORT * items.shape[1] < len(self._gram):
            begun, left = self._by_entries(items, more)
            # With a few equations the inverse takes a fraction of the time of a solution for as many sides as there are factors.
            return pull * (np.linalg.inv(left) @ begun)
        return pull * np.linalg.solve(self._by_factors(items, more), items.transpose(0, 2, 1)).transpose(0, 2, 1)

    def _entries(self, matrix: csr_matrix, *weights: NDArray[np.floating]) -> list[NDArray[np.float64]]:
        """y of each entry of each history [users × longest × factors] and its weights [users × longest × 1], 0 behind the end."""
        lengths = np.diff(matrix.indptr)
        place = np.arange(int(lengths.max(initial=0)))
        has = place < lengths[:, None]
        # Behind the end stands some item or other: it weighs nothing.
        entry = np.minimum(matrix.indptr[:-1, None] + place, max(matrix.nnz - 1, 0))
        items = self._factors.take(matrix.indices[entry], axis=0).astype(np.float64)
        return [items, *(np.where(has, of_entries[entry], 0)[:, :, None] for of_entries in weights)]

    def _by_factors(self, items: NDArray[np.float64], more: NDArray[np.float64]) -> NDArray[np.float64]:
        """A, by which as many equations a user are solved as there are factors."""
        left: NDArray[np.float64] = items.transpose(0, 2, 1) @ (more * items)
        left += self._gram
        return left

    def _by_entries(self, items: NDArray[np.float64], more: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Z = Y·G⁻¹ and B = 1 + Z·Yᵀ·D: Y·A⁻¹ = B⁻¹·Z by Woodbury's identity, with as many equations as the history is long."""
        begun = items @ self._inverse
        left = begun @ (more * items).transpose(0, 2, 1)
        left += np.eye(items.shape[1])
        return begun, left
