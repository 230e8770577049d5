"""Serving from sparse weights: the dense copy for many users says what the sparse weights say."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array

from ml_worker.recommenders import effects
from ml_worker.recommenders.effects import MANY_USERS, Effects

ITEMS = 30
NOTHING = np.zeros(ITEMS, dtype=np.float32)


def drawn(rows, density):
    return csr_matrix(random_array((rows, ITEMS), density=density, dtype=np.float32, rng=np.random.default_rng(3)))


def test_many_users_get_the_scores_and_parts_that_few_get():
    served, told = Effects(drawn(ITEMS, 0.2)), drawn(MANY_USERS, 0.3)
    ranked = np.argsort(-told.toarray(), axis=1)[:, :7].astype(np.int32)
    ranked[::3, 5:] = -1  # shorter lists
    few = np.concatenate([served.scores(told[row], NOTHING) for row in range(MANY_USERS)])
    sparse = served.parts(told, told.data, ranked)
    assert served.scores(told, NOTHING) == pytest.approx(few, abs=1e-6)
    offered = ranked >= 0
    assert served.parts(told, told.data, ranked)[offered] == pytest.approx(sparse[offered], abs=1e-6)
    row, rank = 1, 4
    expected = served.weights.toarray()[told[row].indices, ranked[row, rank]] * told[row].data
    assert sparse[row, rank, : told[row].nnz] == pytest.approx(expected)
    assert not sparse[row, rank, told[row].nnz :].any()


def test_a_large_catalogue_is_never_held_densely():
    items = int(effects.DENSE_CELLS**0.5) + 1
    weights = csr_matrix((np.ones(1, dtype=np.float32), ([0], [1])), shape=(items, items))
    told = csr_matrix((np.ones(MANY_USERS, dtype=np.float32), (np.arange(MANY_USERS), np.zeros(MANY_USERS))), shape=(MANY_USERS, items))
    served = Effects(weights)
    assert served.scores(told, np.zeros(items, dtype=np.float32)).sum() == MANY_USERS
    assert served._dense is None


def test_weights_are_made_dense_between_few_items_only():
    items = int(effects.DENSE_CELLS**0.5) + 1
    served, every = Effects(csr_matrix((items, items), dtype=np.float32)), np.arange(items)
    assert served.is_small(every[:100], np.array([[5, -1]]))
    assert not served.is_small(every, every)
    sparse = Effects(drawn(ITEMS, 0.2))
    between = sparse.between(np.array([3, 9, 3]), np.array([[4, 2, -1]]))
    assert between.weights.shape == (2, 3), "-1 stands for any item, which is the first"
    assert between.weights == pytest.approx(sparse.weights.toarray()[np.ix_([3, 9], [0, 2, 4])])


def test_who_has_no_history_has_no_parts():
    assert Effects(drawn(ITEMS, 0.2)).parts(
        csr_matrix((2, ITEMS), dtype=np.float32), np.empty(0, np.float32), np.zeros((2, 3), int)
    ).shape == (2, 3, 0)
