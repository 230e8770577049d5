"""Users solved from their histories, against the equations written down."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.recommenders.fold_in import FoldIn, Weighed, inverses

LENGTHS = (0, 1, 2, 3, 5, 6, 17, 30, 2, 17)
FACTORS = 6


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def drawn(rng: np.random.Generator) -> tuple[csr_matrix, Weighed]:
    """Histories shorter and longer than there are factors, in no order, and what their entries weigh."""
    items = np.concatenate([rng.choice(30, length, replace=False) for length in LENGTHS])
    matrix = csr_matrix((np.ones(len(items), dtype=np.float32), items, np.r_[0, np.cumsum(LENGTHS)]), shape=(len(LENGTHS), 30))
    return matrix, Weighed(rng.random(len(items)), rng.choice([-1, 0.5, 9], len(items)))


def expected(
    matrix: csr_matrix, weighed: Weighed, row: int, factors: NDArray[np.float32], gram: NDArray[np.float64]
) -> NDArray[np.float64]:
    """p·A⁻¹·y of each entry of a history."""
    entries = slice(matrix.indptr[row], matrix.indptr[row + 1])
    some = factors[matrix.indices[entries]].astype(np.float64)
    left = gram + (some.T * weighed.added[entries]) @ some
    return np.linalg.solve(left, some.T * weighed.pulls[entries]).T


@pytest.mark.parametrize(("ridge", "tolerance", "dtype"), [(1.0, 1e-5, np.float32), (1e-3, 1e-9, np.float64)])
def test_users_and_their_parts_solve_their_equations(rng, ridge, tolerance, dtype):
    """In single precision only where that is harmless: with a factor that says next to nothing it is not."""
    factors = rng.standard_normal((30, FACTORS)).astype(np.float32)
    factors[:, 0] *= np.float32(min(1.0, 10 * ridge))
    gram = factors.astype(np.float64).T @ factors + ridge * np.eye(FACTORS)
    matrix, weighed = drawn(rng)
    rows = np.arange(len(LENGTHS))[::-1]
    ranked = rng.integers(0, 30, (len(LENGTHS), 4)).astype(np.int32)
    for kept_numbers in (0, 1 << 20):
        equations = FoldIn(factors, gram).asked(matrix, weighed, kept_numbers=kept_numbers)
        users, parts = equations.users(rows), equations.parts(rows, ranked[rows])
        assert parts.dtype == dtype
        for row, user, of_user in zip(rows, users, parts, strict=True):
            terms = expected(matrix, weighed, row, factors, gram)
            assert user == pytest.approx(terms.sum(axis=0), rel=1e-5, abs=1e-5)
            assert of_user[:, : LENGTHS[row]] == pytest.approx(factors[ranked[row]] @ terms.T, rel=tolerance, abs=tolerance)
            assert not of_user[:, LENGTHS[row] :].any()


@pytest.mark.parametrize("size", [1, 16, 17, 40, 65])
def test_inverses_of_any_size(rng, size):
    some = rng.standard_normal((3, size, 2 * size))
    matrices = some @ some.transpose(0, 2, 1) + 0.1 * np.eye(size)
    assert inverses(matrices) @ matrices == pytest.approx(np.broadcast_to(np.eye(size), matrices.shape), abs=1e-9)
    assert inverses(matrices[:0]).shape == (0, size, size)
