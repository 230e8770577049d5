"""Splits that ask about cold items and cold users alone."""

import numpy as np
import pytest

from ml_worker.evaluation.cold import KNOWN_EVENTS, cold_items, cold_users
from ml_worker.evaluation.lists import rank
from ml_worker.evaluation.splits import CannotSplit
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.popular import Popular


def test_cold_items_have_no_events_and_are_found_among_themselves(drawn):
    split = cold_items(drawn, share=0.25, seed=3)
    cold = np.flatnonzero(split.among)
    assert len(cold) == 10
    assert not np.isin(split.train.items, cold).any()
    assert np.isin(split.test.items, cold).all()
    assert split.train.item_ids == drawn.item_ids
    liked = drawn.weights > 0
    pairs = {(user, item) for user, item in zip(drawn.users[liked], drawn.items[liked], strict=True) if split.among[item]}
    assert set(zip(split.test.rows[split.test.questions], split.test.items, strict=True)) == pairs
    model = Popular()
    model.fit(split.train)
    ranked = rank(model, split, count=20)
    assert {*ranked[0][:10]} == {*cold}
    assert (ranked[:, 10:] == -1).all()
    assert (rank(model, split.take(np.array([2, 5])), count=20) == ranked[[2, 5]]).all()
    assert np.array_equal(cold_items(drawn, share=0.25, seed=3).among, split.among)
    assert not np.array_equal(cold_items(drawn, share=0.25, seed=4).among, split.among)


def test_cold_users_are_asked_about_with_a_few_of_their_events(drawn):
    split = cold_users(drawn, share=0.1, seed=1)
    rows = np.unique(split.test.rows)
    assert 0 < len(rows) <= 6
    assert not np.isin(split.train.users, rows).any()
    assert len(split.train) + np.count_nonzero(np.isin(drawn.users, rows)) <= len(drawn)
    assert len(split.test) == len(rows) * len(KNOWN_EVENTS)
    whole = drawn.histories()
    for number, (row, seen) in enumerate(zip(split.test.rows, split.live.seen, strict=True)):
        known, history = split.histories(np.array([number])), whole.take([row])
        assert seen == KNOWN_EVENTS[number // len(rows)]
        assert known.items.tolist() == history.items[:seen].tolist()
        expected = {item for item, weight in zip(history.items[8:], history.weights[8:], strict=True) if weight > 0} - {*history.items[:8]}
        found = split.test.items[split.test.offsets[number] : split.test.offsets[number + 1]]
        assert {*found.tolist()} == expected


@pytest.mark.parametrize("divide", [cold_items, cold_users])
def test_what_cannot_be_divided_says_why(drawn, divide):
    with pytest.raises(CannotSplit, match="the share to be found is 1"):
        divide(drawn, share=1)
    few = Interactions.from_events(["a"], ["x"], [1], [1])
    with pytest.raises(CannotSplit, match="too few"):
        divide(few)
