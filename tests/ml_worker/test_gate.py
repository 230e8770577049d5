"""Which exam a model sits, and what it refuses, on tastes made by hand and on real ratings that come in bursts."""

import numpy as np
import pytest

from ml_worker import gate
from ml_worker.gate import Rival, judge, set_exam
from ml_worker.recommenders.als import Als
from ml_worker.recommenders.ease import Ease
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.popular import Popular


def in_turn(*, users: int, events: int, is_burst: bool) -> Interactions:
    """Users who meet items one after the other: each at one go, or all of them again and again."""
    user, event = np.divmod(np.arange(users * events), events)
    return Interactions(
        user_ids=tuple(f"u{n:04}" for n in range(users)),
        item_ids=tuple(f"i{n:02}" for n in range(40)),
        users=user.astype(np.int32),
        items=((user * 7 + event * 3) % 40).astype(np.int32),
        weights=np.ones(users * events, dtype=np.float32),
        times=(user * events + event if is_burst else event * users + user).astype(np.int64),
    )


def test_the_exam_is_set_by_time_where_that_asks_enough_users():
    exam = set_exam(in_turn(users=gate.ENOUGH_USERS, events=10, is_burst=False), share=0.1)
    assert (exam.kind, exam.user_count, exam.where) == ("time", gate.ENOUGH_USERS, "the most recent 10% of the interactions")
    assert (exam.describe()["kind"], exam.describe()["most_of_each"]) == ("time", None)


def test_where_each_user_comes_in_one_burst_their_last_events_are_asked_for():
    whole = in_turn(users=50, events=10, is_burst=True)
    exam = set_exam(whole, share=0.1)
    assert (exam.kind, exam.user_count, len(exam.split.train)) == ("last_of_each", 50, 450)
    assert exam.describe()["most_of_each"] == gate.MOST_OF_EACH
    told = "the last 10% of each user's interactions, at most 10 of each, because the most recent 10% of all ask only 0 users"
    assert exam.where == told
    seen = set_exam(whole, share=0.1, is_seen=True)
    assert "interactions, which both have seen, at most" in seen.where
    assert set_exam(whole, share=0.1, only_by_time=True) is None


def test_of_many_users_those_who_were_active_last_are_asked():
    whole = in_turn(users=50, events=10, is_burst=True)
    exam = set_exam(whole, share=0.1, most=8)
    assert exam.split.test.rows.tolist() == list(range(42, 50))
    assert len(exam.split.train) == 500 - 8


def test_where_the_last_of_each_ask_no_more_users_it_stays_by_time():
    exam = set_exam(in_turn(users=30, events=10, is_burst=False), share=0.1)
    assert (exam.kind, exam.user_count) == ("time", 30)


def test_events_of_one_second_tell_nothing():
    whole = in_turn(users=30, events=10, is_burst=True)
    at_once = Interactions(whole.user_ids, whole.item_ids, whole.users, whole.items, whole.weights, np.zeros_like(whole.times))
    assert set_exam(at_once, share=0.1) is None


@pytest.fixture(scope="module")
def exam(ratings):
    return set_exam(ratings, share=0.1)


@pytest.fixture(scope="module")
def rivals(exam):
    """Popularity, ALS and EASE, as the gate would hold a model against them."""
    models = {"popular": Popular(), "als": Als(), "ease": Ease()}
    for model in models.values():
        model.fit(exam.split.train)
    return {name: Rival("live", f"version 1 ({name}), which is live", exam.measure(model), 1) for name, model in models.items()}


@pytest.mark.slow
def test_real_ratings_that_come_in_bursts_are_asked_of_nearly_everybody(exam, ratings):
    assert set_exam(ratings, share=0.1, only_by_time=True).user_count < 30
    assert (exam.kind, exam.user_count > 550) == ("last_of_each", True)


@pytest.mark.slow
@pytest.mark.parametrize("live", ["als", "ease"])
def test_popularity_and_a_broken_model_are_refused_and_as_good_a_one_passes(exam, rivals, live):
    verdict = judge(exam, rivals["popular"].measured, [rivals[live]], min_users=20)
    assert verdict["verdict"] == "refused"
    assert verdict["reason"].startswith(f"worse than version 1 ({live}), which is live on the last 10% of each user's interactions")
    broken = Als(Als.Config(factors=1, iterations=1, regularization=1e6))
    broken.fit(exam.split.train)
    for rival in (rivals[live], rivals["popular"]):
        assert judge(exam, exam.measure(broken), [rival], min_users=20)["verdict"] == "refused"
    other = {"als": "ease", "ease": "als"}[live]
    assert judge(exam, rivals[other].measured, [rivals[live], rivals["popular"]], min_users=20)["verdict"] == "passed"
