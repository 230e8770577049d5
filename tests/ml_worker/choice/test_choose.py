"""Choosing what to serve."""

import json
from collections.abc import Mapping

import numpy as np
import pytest

from ml_worker.choice.choose import choose
from ml_worker.evaluation.splits import at_random
from ml_worker.recommenders.interactions import Interactions

ROUNDS = 12


@pytest.fixture(scope="module")
def walks() -> Interactions:
    """200 users who walk along a circle of 60 items, a step of one or two at a time, from a start of their own."""
    rng = np.random.default_rng(1)
    steps = np.cumsum(rng.integers(1, 3, size=(200, ROUNDS)), axis=1)
    items = (rng.integers(60, size=(200, 1)) + steps) % 60
    return Interactions(
        user_ids=tuple(f"{n:03}" for n in range(200)),
        item_ids=tuple(f"{n:02}" for n in range(60)),
        users=np.repeat(np.arange(200), ROUNDS).astype(np.int32),
        items=items.ravel().astype(np.int32),
        weights=np.ones(200 * ROUNDS, dtype=np.float32),
        times=np.tile(np.arange(ROUNDS), 200).astype(np.int64),
    )


def plain(report: Mapping) -> dict:
    """The report without what a clock says."""
    told = json.loads(json.dumps(report))
    for candidate in told["candidates"]:
        del candidate["seconds"]
    return {name: value for name, value in told.items() if name != "seconds"}


def test_what_comes_next_is_chosen_for_and_found(walks):
    told: list[float] = []
    choice = choose(walks, protocol="next", progress=lambda done, _note: told.append(done))
    assert (told == sorted(told), told[-1]) == (True, 1.0)
    report = choice.report
    best = max((tried for tried in report["candidates"] if tried["is_part"]), key=lambda candidate: candidate["ndcg@10"])
    assert best["family"] in {"sequential", "latest", "transitions", "around", "last", "recurrent"}
    assert report["blend"]["ndcg@10"] >= best["ndcg@10"] - 1e-9
    assert best["low"] <= best["ndcg@10"] <= best["high"]
    assert not choice.recommender.is_fitted
    choice.recommender.fit(walks)
    last = walks.items.reshape(200, ROUNDS)[:, -1]
    (*rankings,) = choice.recommender.recommend(walks.histories(), count=2)
    near = [len({(end + 1) % 60, (end + 2) % 60} & set(ranking.items)) for end, ranking in zip(last, rankings, strict=True)]
    assert np.mean(near) > 1.6


def test_the_same_data_and_seed_give_the_same_choice(walks):
    few = walks.part(walks.users < 60)
    one, other = (choose(few, protocol="random", seed=4) for _ in range(2))
    assert plain(one.report) == plain(other.report)
    assert one.recommender.config == other.recommender.config


def test_given_questions_are_the_ones_asked(walks):
    split = at_random(walks, share=0.2, seed=1)
    report = choose(split.train, protocol="random", validation=split.test).report
    assert (report["held_out"], report["questions"]) == ("given", 200)


def test_without_time_one_personal_model_and_popularity_are_tried(walks):
    report = choose(walks, protocol="next", budget_seconds=1e-9).report
    assert [candidate["family"] for candidate in report["candidates"]] == ["sequential", "popular"]
    assert "no time" in report["why"]


@pytest.mark.parametrize("protocol", ["next", "random", "future"])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(Interactions.from_events(["a"], ["x"], [1], [0]), id="one event"),
        pytest.param(Interactions.from_events(["a"] * 5, ["x"] * 5, [1] * 5, range(5)), id="one user, one item"),
        pytest.param(Interactions.from_events([*"aaabb"], [*"xyzxy"], [1] * 5, range(5)), id="five events"),
        pytest.param(Interactions.from_events([*"aabbcc"], [*"xyxyxy"], [1] * 6, [7] * 6), id="one second"),
        pytest.param(Interactions.from_events([*"aabbcc"], [*"xyxyxy"], [1] * 6, [2**60, 1, 2, 3, 4, 2**40]), id="times to come"),
    ],
)
def test_of_little_data_something_is_chosen_that_can_be_trained(protocol, data):
    choice = choose(data, protocol=protocol)
    json.dumps(choice.report)
    assert choice.report["why"]
    choice.recommender.fit(data)
    assert len(choice.recommender.recommend(data.histories(), count=3)) == len(data.user_ids)


def test_choosing_can_be_stopped(walks):
    def stop(_done: float, _note: str) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        choose(walks, protocol="random", progress=stop)
