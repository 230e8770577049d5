"""How an inverse is kept and corrected, held against inverting anew."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from ml_worker.recommenders import inverse
from ml_worker.recommenders.inverse import Change, Outline

SIZE = 50


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    """What 2,100 users say about 50 items."""
    rng = np.random.default_rng(1)
    return (rng.random((2100, SIZE)) < rng.random(SIZE) * 0.4).astype(np.float32)


def gram(said: np.ndarray) -> np.ndarray:
    system = said.T.astype(np.float64) @ said
    return system + np.diag(5 + np.diag(system))


def inverted(said: np.ndarray) -> np.ndarray:
    return np.linalg.inv(gram(said)).astype(np.float32)


def change_of(before: np.ndarray, after: np.ndarray) -> Change:
    """Of users who all weigh 1; the diagonal of `gram` grows by as much again."""
    rows = np.flatnonzero((before != after).any(axis=1))
    moved = after[rows] - before[rows]
    items = np.flatnonzero(moved.any(axis=0))
    extra = (np.square(after) - np.square(before)).sum(axis=0)[items] / 2
    return Change(items, csr_matrix(moved), csr_matrix(before[rows] + moved / 2), np.ones(len(rows), dtype=np.float32), extra)


def outline_of(said: np.ndarray) -> Outline:
    solved = inverted(said)
    diagonal = solved.diagonal().copy()
    effects = -solved / diagonal
    np.fill_diagonal(effects, 0)
    local = inverse.strongest(csr_matrix(effects), diagonal, 3 * SIZE)
    return Outline(diagonal, local, *inverse.remainder(effects, diagonal, local, csr_matrix(said), np.ones(len(said), dtype=np.float32)))


def flipped(data: np.ndarray, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    after = data.copy()
    after[users, items] = 1 - after[users, items]
    return after


def test_the_half_of_a_matrix_has_its_rows_and_its_diagonal(data):
    solved = inverted(data)
    halved, items = inverse.half(solved), np.array([0, 7, 49])
    assert len(halved) == SIZE * (SIZE + 1) // 2
    assert np.array_equal(inverse.whole(halved, SIZE), inverse.whole(inverse.half(solved.T), SIZE).T)
    assert inverse.rows(halved, items, SIZE) == pytest.approx(solved[items], abs=1e-7)
    assert np.array_equal(inverse.diagonal(halved, SIZE), solved.diagonal())
    other = np.ones((3, SIZE), dtype=np.float32)
    expected = inverse.whole(halved, SIZE)
    expected[items] = 1
    expected[:, items] = 1
    assert np.array_equal(inverse.whole(inverse.with_rows(halved, items, other, SIZE), SIZE), expected)


def test_a_wider_matrix_has_the_old_rows_at_their_places(data):
    solved, places = inverted(data), np.delete(np.arange(SIZE + 2), [3, 20])
    wide = inverse.whole(inverse.widened(inverse.half(solved), places, SIZE + 2, 0.25), SIZE + 2)
    assert wide[np.ix_(places, places)] == pytest.approx(solved, abs=1e-7)
    assert wide[3].tolist() == [0.25 if item == 3 else 0 for item in range(SIZE + 2)]


def test_the_strongest_entries_are_those_of_the_scaled_matrix(data):
    solved = inverted(data)
    scaled = np.abs(solved / np.sqrt(np.outer(solved.diagonal(), solved.diagonal())))
    np.fill_diagonal(scaled, 0)
    local = outline_of(data).local
    assert local.nnz == 3 * SIZE
    assert scaled[local.nonzero()].min() >= np.sort(scaled.ravel())[-3 * SIZE] - 1e-6
    assert local.toarray()[local.nonzero()] == pytest.approx(solved[local.nonzero()], abs=1e-7)


def test_an_outline_of_full_rank_multiplies_exactly_and_a_narrow_one_about(data):
    exact = data[:40] @ inverted(data)
    assert outline_of(data).products(csr_matrix(data[:40])) == pytest.approx(exact, abs=1e-6)
    whole = outline_of(data)
    narrow = Outline(whole.diagonal, whole.local, whole.left[:, :8], whole.right[:, :8])
    nothing = Outline(whole.diagonal, whole.local, whole.left[:, :0], whole.right[:, :0])
    errors = [np.abs(outline.products(csr_matrix(data[:40])) - exact).sum() for outline in (narrow, nothing)]
    assert errors[0] < 0.8 * errors[1]


@pytest.mark.parametrize("count", [inverse.FEW + 20, 2080])
def test_many_users_of_one_item_are_corrected_exactly(data, count):
    """More than `FEW`, so item by item; the outline is exact here."""
    users = np.arange(count)
    after = flipped(data, users, np.full(len(users), 9))
    halved, change = inverse.half(inverted(data)), change_of(data, after)
    found = inverse.corrected(halved, change, outline_of(data))
    assert found == pytest.approx(inverted(after)[[9]], abs=2e-6)
    assert inverse.residual(halved, inverse.half(inverted(after)), change, inverted(data).diagonal()).missed < 0.01


def test_few_users_of_many_items_are_corrected_exactly_but_for_the_extra_diagonal(data):
    users, items = np.repeat([3, 30], 20), np.r_[np.arange(20), np.arange(10, 30)]
    after = flipped(data, users, items)
    change = change_of(data, after)
    change = change._replace(extra=np.zeros_like(change.extra))
    system = gram(data) + after.T @ after - data.T @ data
    found = inverse.corrected(inverse.half(inverted(data)), change, outline_of(data))
    assert found == pytest.approx(np.linalg.inv(system)[change.items], abs=1e-6)


@pytest.mark.parametrize("count", [20, 80])
def test_the_residual_is_the_share_of_the_change_that_was_missed(data, count):
    rng = np.random.default_rng(count)
    users, items = rng.choice(len(data), count, replace=False), rng.integers(0, SIZE, count)
    after = flipped(data, users, items)
    before, exact, change = inverted(data), inverted(after), change_of(data, after)
    halved = inverse.half(before)
    found = inverse.with_rows(halved, change.items, inverse.corrected(halved, change, outline_of(data)), SIZE)
    roots = np.sqrt(before.diagonal())
    scaled = [np.linalg.norm((exact - matrix) / np.outer(roots, roots)) for matrix in (inverse.whole(found, SIZE), before)]
    residual = inverse.residual(halved, found, change, before.diagonal())
    assert residual.missed == pytest.approx(scaled[0] / scaled[1], rel=0.35)
    assert residual.missed < 0.4
    assert inverse.residual(halved, halved, change, before.diagonal()).missed == pytest.approx(1, abs=0.02)
    assert inverse.residual(halved, inverse.half(exact), change, before.diagonal()).missed < 0.01
    assert residual.error < 0.5 * inverse.residual(halved, halved, change, before.diagonal()).error
