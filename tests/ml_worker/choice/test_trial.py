"""Who stands for a family of candidates."""

import numpy as np
import pytest

from ml_worker.choice.candidates import Candidate
from ml_worker.choice.trial import Trials, Tried
from ml_worker.recommenders.base import ignore
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.lessons import make_lesson
from ml_worker.recommenders.popular import Popular


def tried(gains: list[float]) -> Tried:
    """A candidate that had these gains."""
    return Tried(Candidate("popular", "popular", {}), Popular(), np.array(gains), 0.0, np.empty((len(gains), 0), np.int32))


@pytest.mark.parametrize(
    ("gains", "is_clear"),
    [
        pytest.param([0.2, 0.3, 0.2, 0.3], True, id="better for everybody"),
        pytest.param([0.9, 0.0, 0.1, 0.2], False, id="better on the whole, by one question"),
        pytest.param([0.1, 0.2, 0.1, 0.2], False, id="the same"),
        pytest.param([0.0, 0.0, 0.0, 0.0], False, id="worse"),
    ],
)
def test_chance_is_not_taken_for_being_better(gains, is_clear):
    assert tried(gains).clearly_beats(tried([0.1, 0.2, 0.1, 0.2])) is is_clear


def test_the_preset_of_a_family_stays_until_it_is_clearly_beaten():
    users, likes = 120, 6
    # Users like six of the ten items of their own kind: popularity knows nothing of that.
    items = np.concatenate([10 * (user % 4) + np.random.default_rng(user).permutation(10)[:likes] for user in range(users)])
    interactions = Interactions(
        user_ids=tuple(f"{n:03}" for n in range(users)),
        item_ids=tuple(f"{n:02}" for n in range(40)),
        users=np.repeat(np.arange(users), likes).astype(np.int32),
        items=items.astype(np.int32),
        weights=np.ones(users * likes, dtype=np.float32),
        times=np.tile(np.arange(likes), users).astype(np.int64),
    )
    trials = Trials(make_lesson(interactions, "random", share=0.2))
    preset = trials.run(Candidate("one", "popular", {}), ignore)
    trials.run(Candidate("one", "popular", {"recent_share": 0.9}), ignore)
    assert trials.best == {"one": preset}
    better = trials.run(Candidate("one", "ease", {"ridge": 5.0}), ignore)
    assert trials.best == {"one": better}
    trials.run(Candidate("one", "ease", {"ridge": 5.0}), ignore)
    assert trials.best == {"one": better}
