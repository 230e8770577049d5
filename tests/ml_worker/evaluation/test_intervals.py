"""Intervals against what statistics says they must be."""

import numpy as np
import pytest

from ml_worker.evaluation.intervals import LARGEST_RESAMPLED, Interval, differences, intervals


def test_the_interval_is_that_of_the_normal_distribution_where_it_must_be():
    values = np.random.default_rng(1).normal(0.3, 0.2, 4000)
    found = intervals({"ndcg@10": values})["ndcg@10"]
    margin = 1.96 * values.std() / np.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - margin, abs=margin / 8)
    assert found.high == pytest.approx(values.mean() + margin, abs=margin / 8)


def test_about_95_of_100_intervals_hold_the_truth():
    rng = np.random.default_rng(2)
    found = [intervals({"hr": (rng.random(200) < 0.3).astype(float)}, resamples=300, seed=n)["hr"] for n in range(200)]
    assert 0.90 <= np.mean([one.low <= 0.3 <= one.high for one in found]) <= 0.99


def test_many_users_get_the_normal_interval_and_it_agrees():
    values = np.random.default_rng(3).exponential(1, LARGEST_RESAMPLED + 1)
    many = intervals({"x": values})["x"]
    drawn = intervals({"x": values[:-1]})["x"]
    assert many.low == pytest.approx(drawn.low, abs=2e-3)
    assert many.high == pytest.approx(drawn.high, abs=2e-3)


def test_all_questions_of_a_user_are_drawn_together():
    # A hundred copies of ten users are worth ten users.
    values = np.random.default_rng(4).normal(0, 1, 10)
    copies, users = np.repeat(values, 100), np.repeat(np.arange(10), 100)
    alone, together = intervals({"x": values})["x"], intervals({"x": copies}, users=users)["x"]
    assert together == pytest.approx(alone)
    pretended = intervals({"x": copies})["x"]
    assert pretended.high - pretended.low < (together.high - together.low) / 5
    assert _many_users(values).high - _many_users(values).low == pytest.approx(
        (together.high - together.low) * np.sqrt(10 / 25_000), rel=0.4
    )


def _many_users(values: np.ndarray) -> Interval:
    return intervals({"x": np.repeat(np.resize(values, 25_000), 2)}, users=np.repeat(np.arange(25_000), 2))["x"]


def test_a_paired_difference_is_seen_where_two_intervals_overlap():
    rng = np.random.default_rng(5)
    theirs = rng.random(500)
    ours = theirs + 0.01 + rng.normal(0, 0.02, 500)
    apart = intervals({"ours": ours, "theirs": theirs})
    assert apart["ours"].low < apart["theirs"].high
    found = differences({"x": ours, "only ours": ours}, {"x": theirs})
    assert found.keys() == {"x"}
    assert found["x"].low > 0
    assert not found["x"].is_below_zero
    assert differences({"x": theirs}, {"x": ours})["x"].is_below_zero
    same = differences({"x": ours}, {"x": ours})["x"]
    assert same.low == same.high == 0
    assert not same.is_below_zero


def test_the_same_seed_gives_the_same_interval():
    values = {"x": np.random.default_rng(6).random(50)}
    assert intervals(values, seed=1) == intervals(values, seed=1)
    assert intervals(values, seed=1) != intervals(values, seed=2)


def test_nan_is_left_out():
    values = np.array([1.0, np.nan, 3.0, np.nan])
    found = intervals({"x": values})["x"]
    assert found.mean == 2
    assert 1 <= found.low <= found.high <= 3


@pytest.mark.parametrize("values", [[], [0.5], [0.5, np.nan]])
def test_fewer_than_two_users_have_no_bounds(values):
    found = intervals({"x": np.array(values, dtype=float)})["x"]
    assert np.isnan([found.low, found.high]).all()
    assert not found.is_below_zero
    assert intervals({}) == {}
