"""Interactions and histories: what they hold and what they refuse."""

import numpy as np
import pytest
from scipy.sparse import csc_matrix, csr_matrix

from ml_worker.recommenders.interactions import Histories, Interactions, InvalidHistories, InvalidInteractions


def columns(**changes) -> dict:
    return {
        "user_ids": ("a", "b"),
        "item_ids": ("x", "y"),
        "users": np.array([0, 1], dtype=np.int32),
        "items": np.array([1, 0], dtype=np.int32),
        "weights": np.array([1, -1], dtype=np.float32),
        "times": np.array([5, 6], dtype=np.int64),
        **changes,
    }


def test_events_become_indices_of_sorted_vocabularies():
    made = Interactions.from_events(["b", "a", "b"], ["y", "y", "x"], [1, 0.5, 0], [3, 2, 1], catalogue=["z", "x"])
    assert (made.user_ids, made.item_ids, len(made)) == (("a", "b"), ("x", "y", "z"), 3)
    assert (made.users.tolist(), made.items.tolist(), made.times.tolist()) == ([1, 0, 1], [1, 1, 0], [3, 2, 1])


def test_events_of_a_pair_are_summed_and_zeros_stay_seen():
    matrix = Interactions.from_events(list("aaab"), list("xxyx"), [1, 0.5, 0, -1], range(4)).matrix()
    assert matrix.toarray().tolist() == [[1.5, 0], [-1, 0]]
    assert (matrix.dtype, matrix.nnz) == (np.float32, 3)


def test_nobody_lifts_an_item_by_repetition_nor_sinks_it_below_nothing():
    made = Interactions.from_events(
        ["a"] * 100 + ["a", "b", "b", "c", "c"], ["x"] * 100 + ["y", "y", "z", "z", "z"], [1] * 100 + [0.5, 1, -3, 1, -0.75], range(105)
    )
    assert made.popularity().tolist() == [1.0, 1.5, 0.25]


def test_no_events_is_no_popularity():
    assert Interactions.from_events([], [], [], [], catalogue=["x"]).popularity().tolist() == [0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"items": np.array([0], dtype=np.int32)}, r"items has the shape \(1,\)"),
        ({"users": np.zeros((2, 1), dtype=np.int32)}, r"users has the shape \(2, 1\)"),
        ({"users": np.array([0, 1])}, "users is of int64, not int32"),
        ({"weights": np.array([1, 2])}, "weights is of int64, not float32"),
        ({"users": np.array([0, 2], dtype=np.int32)}, r"users\[1\] is 2, outside a vocabulary of 2"),
        ({"items": np.array([-1, 0], dtype=np.int32)}, r"items\[0\] is -1, outside"),
        ({"weights": np.array([1, np.nan], dtype=np.float32)}, r"weights\[1\] is nan, not a finite number"),
        ({"item_ids": ("x", "x")}, "item_ids names 1 ids more than once"),
        ({"item_features": csr_matrix((3, 1), dtype=np.float32)}, "item_features is a csr_matrix of float32 with 2 rows"),
        ({"user_features": csr_matrix((2, 1))}, "not csr_matrix of float64"),
        ({"user_features": csr_matrix(np.array([[1], [np.nan]], dtype=np.float32))}, r"user_features\[1\] is nan"),
        ({"user_ids": ("a", 7)}, r"user_ids\[1\] is int, not str"),
    ],
)
def test_arrays_that_are_no_interactions_are_refused(changes, message):
    with pytest.raises(InvalidInteractions, match=message):
        Interactions(**columns(**changes))


def test_a_part_keeps_the_vocabularies():
    made = Interactions(**columns()).part(np.array([False, True]))
    assert (made.user_ids, made.item_ids) == (("a", "b"), ("x", "y"))
    assert (made.users.tolist(), made.weights.tolist(), made.times.tolist()) == ([1], [-1], [6])


def test_a_weight_too_large_for_float32_is_refused():
    with pytest.raises(InvalidInteractions, match=r"weights\[0\] is inf"):
        Interactions.from_events(["a"], ["x"], [1e300], [0])


def test_histories_sum_the_events_of_a_pair_and_keep_zeros():
    made = Histories.from_events([1, 1, 1], [0, 0, 2], [1, 0.5, 0], shape=(2, 3))
    assert len(made) == 2
    assert made.matrix.toarray().tolist() == [[0, 0, 0], [1.5, 0, 0]]
    assert made.matrix.nnz == 2


def listed(histories: Histories) -> list[list[tuple[int, float, int]]]:
    """The events of each row."""
    events = list(zip(histories.items.tolist(), histories.weights.tolist(), histories.times.tolist(), strict=True))
    return [events[start:end] for start, end in zip(histories.offsets, histories.offsets[1:], strict=False)]


def test_the_events_of_a_history_are_in_the_order_of_time_and_of_arrival():
    made = Histories.from_events([1, 0, 1, 1, 1], [2, 1, 0, 2, 1], [1, -1, 0.5, 0.25, 0], [9, 8, 7, 7, 7], shape=(3, 4))
    assert listed(made) == [[(1, -1, 8)], [(0, 0.5, 7), (2, 0.25, 7), (1, 0, 7), (2, 1, 9)], []]
    assert made.matrix.toarray().tolist() == [[0, -1, 0, 0], [0.5, 0, 1.25, 0], [0, 0, 0, 0]]
    assert (made.items.dtype, made.weights.dtype, made.times.dtype) == (np.int32, np.float32, np.int64)


def test_without_times_the_order_given_is_the_order_in_time():
    made = Histories.from_events([0, 0, 0], [2, 0, 1], [1, 1, 1], shape=(1, 3))
    assert made.items.tolist() == [2, 0, 1]


def test_some_of_the_histories_are_taken_in_the_order_asked():
    made = Histories.from_events([0, 1, 1, 2], [0, 1, 2, 3], [1, 2, 3, 4], [4, 3, 2, 1], shape=(3, 4))
    taken = made.take([2, 1, 2])
    assert listed(taken) == [[(3, 4, 1)], [(2, 3, 2), (1, 2, 3)], [(3, 4, 1)]]
    assert taken.matrix.toarray().tolist() == [[0, 0, 0, 4], [0, 2, 3, 0], [0, 0, 0, 4]]
    assert listed(made.take([])) == []


def test_the_histories_of_the_users_of_the_training_data():
    made = Interactions.from_events(["b", "a", "b", "b"], list("yxxy"), [1, 0.5, 0, -1], [30, 20, 10, 30])
    assert listed(made.histories()) == [[(0, 0.5, 20)], [(0, 0, 10), (1, 1, 30), (1, -1, 30)]]
    assert (made.histories().matrix != made.matrix()).nnz == 0
    assert listed(made.histories([1, 0], before=30)) == [[(0, 0, 10)], [(0, 0.5, 20)]]
    assert listed(made.histories([1], before=10)) == [[]]
    assert listed(made.histories([])) == []


def test_events_and_offsets_that_do_not_fit_together_are_refused():
    made = Histories.from_events([0], [1], [1], shape=(1, 2))
    with pytest.raises(InvalidHistories, match=r"times is int64 \(2,\), these histories need int64 \(1,\)"):
        Histories(made.matrix, made.offsets, made.items, made.weights, np.zeros(2, dtype=np.int64))
    with pytest.raises(InvalidHistories, match="offsets must rise from 0 to the 1 events"):
        Histories(made.matrix, np.array([0, 2]), made.items, made.weights, made.times)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (csc_matrix((1, 2), dtype=np.float32), "not csc_matrix of float32"),
        (csr_matrix((1, 2)), "not csr_matrix of float64"),
        (np.zeros((1, 2), dtype=np.float32), "not ndarray"),
        (csr_matrix(np.array([[0, 0], [1, np.inf]], dtype=np.float32)), "row 1 holds a weight that is not a finite number"),
    ],
)
def test_what_is_no_history_is_refused(matrix, message):
    made = Histories.from_events([], [], [], shape=(2, 2))
    with pytest.raises(InvalidHistories, match=message):
        Histories(matrix, made.offsets, made.items, made.weights, made.times)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (([0], [3], [1]), "items reach from 3 to 3, outside 0 to 2"),
        (([-1], [0], [1]), "rows reach from -1"),
        (([0, 0], [1], [1]), r"rows has the shape \(2,\), weights \(1,\)"),
        (([0], [0], [1e300]), "row 0 holds a weight that is not a finite number"),
    ],
)
def test_histories_of_events_that_do_not_fit_are_refused(events, message):
    with pytest.raises(InvalidHistories, match=message):
        Histories.from_events(*events, shape=(1, 3))
