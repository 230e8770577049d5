"""What is to be found: in time order, each item once, nothing that the user met before."""

import numpy as np
import pytest

from ml_worker.evaluation.truth import InvalidTruth, Truth
from ml_worker.recommenders.interactions import Interactions


@pytest.fixture
def train(make) -> Interactions:
    return make([(0, 0, 1), (1, 2, 1)], users=4, items=3)


def truth_of(train, *rows) -> Truth:
    return Truth.from_events(*(np.array(column) for column in zip(*rows, strict=True)), train=train)


def test_items_are_ordered_by_time_and_each_is_there_once(train):
    truth = truth_of(train, (2, 1, 30), (0, 2, 20), (2, 0, 10), (2, 1, 5))
    assert truth.rows.tolist() == [0, 2]
    assert truth.offsets.tolist() == [0, 1, 3]
    assert truth.items.tolist() == [2, 1, 0]
    assert truth.times.tolist() == [20, 5, 10]


def test_equal_times_keep_the_order_given(train):
    assert truth_of(train, (3, 2, 7), (3, 0, 7), (3, 1, 7)).items.tolist() == [2, 0, 1]


def test_what_the_user_met_in_training_is_not_to_be_found(train):
    truth = truth_of(train, (0, 0, 5), (1, 2, 5), (1, 0, 5), (2, 0, 5))
    assert truth.rows.tolist() == [1, 2]  # u0 has nothing left
    assert truth.items.tolist() == [0, 0]


def test_items_without_a_column_count_but_have_no_place(train):
    truth = truth_of(train, (0, 1, 5), (0, 3, 5), (0, 4, 5), (0, 4, 6), (3, 9, 5))
    assert truth.rows.tolist() == [0, 3]
    assert truth.items.tolist() == [1]
    assert truth.unknown.tolist() == [2, 1]
    assert truth.sizes.tolist() == [3, 1]
    assert truth.matrix(3).toarray().tolist() == [[False, True, False], [False, False, False]]


def test_take_keeps_the_questions_asked_for(train):
    truth = truth_of(train, (0, 1, 1), (0, 2, 2), (2, 0, 3), (3, 1, 4), (3, 8, 4))
    taken = truth.take(np.array([2, 0]))
    assert (taken.rows.tolist(), taken.offsets.tolist(), taken.items.tolist()) == ([3, 0], [0, 1, 3], [1, 1, 2])
    assert taken.unknown.tolist() == [1, 0]
    assert truth.take(np.array([False, True, False])).items.tolist() == [0]


def test_only_some_items_leave_questions_that_have_something_to_find(train):
    only = truth_of(train, (0, 1, 1), (0, 2, 2), (2, 0, 3), (3, 8, 4)).only(np.array([True, False, True]))
    assert (only.rows.tolist(), only.items.tolist(), only.sizes.tolist()) == ([0, 2], [2, 0], [1, 1])


def test_nothing_held_out_is_no_question(train):
    nothing = np.empty(0, dtype=np.int64)
    assert len(Truth.from_events(nothing, nothing, nothing, train=train)) == 0


def test_arrays_that_do_not_fit_are_refused():
    one, two = np.zeros(1, dtype=np.int64), np.array([0, 1])
    with pytest.raises(InvalidTruth, match="unknown has the shape"):
        Truth(one, two, one.astype(np.int32), one, two)
    with pytest.raises(InvalidTruth, match="offsets must rise from 0 to the 1 held-out items"):
        Truth(one, np.array([0, 3]), one.astype(np.int32), one, one)
