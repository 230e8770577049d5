"""The best inner products, against sorting all of them."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array

from ml_worker.recommenders.inner_product import SMALL, STEP_ITEMS, InnerProductIndex
from ml_worker.recommenders.selection import best_of, leave_out

ITEMS = SMALL + 2 * STEP_ITEMS + 100
USERS = 40


def vectors(rng, kind: str) -> np.ndarray:
    """Vectors of small whole numbers, so that products are exact and many are equal; long ones are rare, or all are of a length."""
    drawn = rng.integers(-3, 4, (ITEMS, 6)).astype(np.float32)
    if kind == "skewed":
        return drawn * np.floor(1 + rng.pareto(1, (ITEMS, 1))).astype(np.float32)
    return drawn if kind == "alike" else np.zeros_like(drawn)


def seen(rng, *, most: int) -> csr_matrix:
    """Each user has seen some items; the first user nearly all."""
    met = random_array((USERS, ITEMS), density=most / ITEMS, format="lil", dtype=np.float32, rng=rng)
    met[0, 5:] = 1
    return csr_matrix(met)


@pytest.mark.parametrize("kind", ["skewed", "alike", "nothing"])
@pytest.mark.parametrize("count", [1, 100, 700])
def test_it_is_the_best_of_the_whole_product(kind, count):
    rng = np.random.default_rng(count)
    items, users, met = vectors(rng, kind), rng.integers(-2, 3, (USERS, 6)).astype(np.float32), seen(rng, most=300)
    users[1] = 0
    for exclude in (None, rng.random(ITEMS) < 0.3, np.ones(ITEMS, dtype=bool)):
        scores = users @ items.T
        leave_out(scores, met, exclude)
        expected = best_of(scores, count=count)
        found = InnerProductIndex(items).best(users, met, count=count, exclude=exclude)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)


def test_nobody_is_asked_for_nothing():
    index = InnerProductIndex(np.ones((3, 2), dtype=np.float32))
    found = index.best(np.empty((0, 2), dtype=np.float32), csr_matrix((0, 3), dtype=np.float32), count=5)
    assert found.items.shape == (0, 3)


def test_it_says_whose_scores_are_finite():
    index = InnerProductIndex(np.full((3, 2), 1e30, dtype=np.float32))
    users = np.array([[1, 1], [1e30, 1], [np.nan, 1], [np.inf, 1], [0, 0]], dtype=np.float32)
    assert index.is_sure(users).tolist() == [True, False, False, False, True]
