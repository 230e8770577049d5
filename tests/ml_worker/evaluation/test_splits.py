"""What may be learnt and what is to be found, on interactions small enough to divide by hand."""

import numpy as np
import pytest

from ml_worker.evaluation.splits import CannotSplit, at_random, by_time, last_of_each, leave_last_out, replay
from tests.ml_worker.evaluation.conftest import events, held_out


def test_a_time_split_cuts_at_one_moment_for_everybody(make):
    whole = make([(0, 0, 10), (1, 0, 50), (0, 1, 20), (0, 2, 40), (2, 1, 40)], users=3, items=3)
    split = by_time(whole, share=0.4)  # the second largest time, 40, and all that is at it
    assert events(split.train) == [(0, 0), (0, 1)]
    assert held_out(split.test) == {0: [2], 1: [0], 2: [1]}  # u1 and u2 are new


def test_a_time_split_leaves_something_to_learn_and_something_to_find(make):
    whole = make([(0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 2)], users=2, items=2)
    for share in (0.01, 0.9):
        assert held_out(by_time(whole, share=share).test) == {1: [1]}


def test_dislikes_and_what_is_met_again_are_not_to_be_found(make):
    whole = make([(0, 0, 1), (1, 1, 1), (0, 0, 5), (0, 1, 5, -1.0), (0, 2, 5, 0.0), (1, 2, 5)], users=2, items=3)
    assert held_out(by_time(whole, share=0.5).test) == {1: [2]}


def test_a_time_split_needs_different_times(make):
    with pytest.raises(CannotSplit, match="all 2 interactions are of the same second"):
        by_time(make([(0, 0, 7), (0, 1, 7)], users=1, items=2))
    with pytest.raises(CannotSplit, match="all 0 interactions"):
        by_time(make([], users=1, items=2))
    with pytest.raises(CannotSplit, match="nothing is liked"):
        by_time(make([(0, 0, 7), (0, 1, 9, -1.0)], users=1, items=2), share=0.5)


def test_the_last_of_each_user_is_left_out(make):
    whole = make([(0, 0, 30), (0, 1, 10), (0, 2, 20), (1, 2, 5), (2, 0, 7), (2, 1, 7)], users=4, items=3)
    split = leave_last_out(whole)
    assert held_out(split.test) == {0: [0], 2: [1]}  # u1 met one item only; of u2's equal times the later line is the last
    assert events(split.train) == [(0, 1), (0, 2), (1, 2), (2, 0)]


def test_the_last_liked_for_the_first_time_counts_and_what_follows_it_is_gone(make):
    whole = make([(0, 0, 1), (0, 1, 2), (0, 2, 3), (0, 1, 4), (0, 3, 5, -1.0)], users=1, items=4)
    split = leave_last_out(whole)
    assert held_out(split.test) == {0: [2]}
    assert events(split.train) == [(0, 0), (0, 1)]


def test_leaving_out_needs_users_with_two_items(make):
    split = leave_last_out(make([(0, 0, 1), (0, 0, 2), (1, 1, 3)], users=2, items=2))
    assert len(split.test) == 0
    assert events(split.train) == [(0, 0), (0, 0), (1, 1)]


def test_of_each_user_the_last_share_is_left_out_but_something_stays(make):
    long = [(0, item, 10 + item) for item in range(6)]
    whole = make([*long, (1, 5, 3), (1, 4, 2), (2, 0, 90), (3, 0, 8), (3, 1, 8), (4, 2, 50), (4, 3, 51, -1.0)], users=6, items=6)
    split = last_of_each(whole, share=0.5, depth=2)
    assert held_out(split.test) == {0: [4, 5], 1: [5]}  # u2 met one item, u3 all in one second, u4 disliked the last, u5 met none
    assert events(split.train) == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 4), (2, 0), (3, 0), (3, 1), (4, 2)]
    assert held_out(last_of_each(whole, share=0.1, depth=2, most=2).test) == {0: [5]}, "u4 was active last, u0 before"
    with pytest.raises(CannotSplit, match="share to be found is 1"):
        last_of_each(whole, share=1, depth=2)


def test_a_random_split_takes_the_share_of_each_user(make):
    whole = make([(user, item, 0) for user in range(3) for item in range(10 * user)], users=3, items=20)
    split = at_random(whole, share=0.2, seed=4)
    assert {row: len(items) for row, items in held_out(split.test).items()} == {1: 2, 2: 4}
    assert len(split.train) == 24
    assert not {*events(split.train)} & {(row, item) for row, items in held_out(split.test).items() for item in items}
    assert held_out(at_random(whole, share=0.2, seed=4).test) == held_out(split.test)
    assert held_out(at_random(whole, share=0.2, seed=5).test) != held_out(split.test)


@pytest.mark.parametrize("share", [0.0, 1.0, float("nan")])
def test_an_impossible_share_is_refused(make, share):
    with pytest.raises(CannotSplit, match="lies between 0 and 1"):
        at_random(make([(0, 0, 0)], users=1, items=1), share=share)


def test_histories_of_a_split_are_the_training_data_of_the_asked(make):
    whole = make([(0, 0, 10), (0, 1, 20), (1, 2, 15), (1, 0, 40), (2, 1, 40)], users=3, items=3)
    split = by_time(whole, share=0.4)
    assert held_out(split.test) == {1: [0], 2: [1]}
    assert split.histories().matrix.toarray().tolist() == [[0, 0, 1], [0, 0, 0]]
    assert split.histories(np.array([1, 0])).matrix.toarray().tolist() == [[0, 0, 0], [0, 0, 1]]


def test_a_replay_asks_for_every_later_event_with_all_that_was_before_it(make):
    whole = make([(0, 0, 10), (1, 1, 10), (0, 1, 30), (0, 2, 40), (1, 0, 35), (0, 0, 50), (2, 2, 60)], users=3, items=3)
    split = replay(whole, share=0.7)
    assert events(split.train) == [(0, 0), (1, 1)]
    assert split.test.rows.tolist() == [0, 0, 1, 2]  # meeting i0 again at 50 is no question
    assert split.test.items.tolist() == [1, 2, 0, 2]
    assert split.test.sizes.tolist() == [1, 1, 1, 1]
    assert split.histories().matrix.toarray().tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert split.histories(np.array([1])).items.tolist() == [0, 1]  # in order of time


def test_a_replay_asks_at_most_as_much_as_wanted(make):
    whole = make([(user, item, item) for user in range(4) for item in range(6)], users=4, items=6)
    assert len(replay(whole, share=0.5).test) == 12
    drawn = replay(whole, share=0.5, most=5, seed=1)
    assert len(drawn.test) == 5
    for question, item in enumerate(drawn.test.items.tolist()):
        assert drawn.histories(np.array([question])).items.tolist() == list(range(item))


def test_the_splits_of_real_ratings_are_of_the_size_asked_for(ratings):
    assert 0.19 < 1 - len(by_time(ratings).train) / len(ratings) < 0.21
    assert 0.19 < 1 - len(at_random(ratings).train) / len(ratings) < 0.21
    last = leave_last_out(ratings)
    assert set(last.test.sizes.tolist()) == {1}
    assert len(last.test) >= 600
    by_user = last.train.histories(last.test.rows)
    latest = by_user.times[by_user.offsets[1:] - 1]
    assert (latest <= last.test.times).all()
