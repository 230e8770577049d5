"""The equations of users in factor models: solved for many at once, each user's answer as a sum over the items of the history."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.recommenders.batches import entries_of

_SHORT: Final = 1.5
"""Histories so many times shorter than there are factors have equations of their own."""


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
        self._factors = factors
        self._gram = gram
        self._inverse = np.linalg.inv(gram)

    def users(self, matrix: csr_matrix, weighed: "Weighed", rows: NDArray[np.integer]) -> NDArray[np.floating]:
        """x of some rows of histories [rows × factors]."""
        items, pull, more = self._entries(matrix, weighed, rows)
        users: NDArray[np.floating]
        if _SHORT * items.shape[1] < len(self._gram):
            begun, left = self._by_entries(items, more)
            users = (np.linalg.solve(left.transpose(0, 2, 1), pull).transpose(0, 2, 1) @ begun)[:, 0]
        else:
            users = np.linalg.solve(self._by_factors(items, more), items.transpose(0, 2, 1) @ pull)[:, :, 0]
        return users

    def terms(self, matrix: csr_matrix, weighed: "Weighed", rows: NDArray[np.integer]) -> NDArray[np.floating]:
        """p·A⁻¹·y of each entry of some rows of histories, whose sum is the user: [rows × longest × factors], 0 behind the end."""
        items, pull, more = self._entries(matrix, weighed, rows)
        # Inverses and products take a fraction of the time of solutions for so many sides. A is symmetric, and so is its inverse.
        if _SHORT * items.shape[1] < len(self._gram):
            begun, left = self._by_entries(items, more)
            return pull * (np.linalg.inv(left) @ begun)
        return pull * (items @ np.linalg.inv(self._by_factors(items, more)))

    def _entries(self, matrix: csr_matrix, weighed: "Weighed", rows: NDArray[np.integer]) -> list[NDArray[np.float64]]:
        """y of each entry of each history [rows × longest × factors] and its weights [rows × longest × 1], 0 behind the end."""
        entry, has = entries_of(matrix, rows)
        # Behind the end stands some item or other: it weighs nothing.
        items = self._factors.take(matrix.indices.take(entry), axis=0).astype(np.float64)
        return [items, *(np.where(has, of_entries.take(entry), 0)[:, :, None] for of_entries in weighed)]

    def _by_factors(self, items: NDArray[np.float64], more: NDArray[np.float64]) -> NDArray[np.float64]:
        """A, by which as many equations a user are solved as there are factors."""
        left: NDArray[np.float64] = items.transpose(0, 2, 1) @ (more * items)
        left += self._gram
        return left

    def _by_entries(self, items: NDArray[np.float64], more: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Z = Y·G⁻¹ and B = 1 + Z·Yᵀ·D: Y·A⁻¹ = B⁻¹·Z by Woodbury's identity, with as many equations as the history is long."""
        users, longest, factors = items.shape
        begun = (items.reshape(-1, factors) @ self._inverse).reshape(users, longest, factors)
        left = begun @ (more * items).transpose(0, 2, 1)
        left += np.eye(items.shape[1])
        return begun, left
