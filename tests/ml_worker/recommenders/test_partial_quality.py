"""Partial trainings on real ratings: as good as training anew, within the interval that training anew has."""

import numpy as np
import pytest

from ml_worker.evaluation.intervals import intervals
from ml_worker.recommenders.als import Als
from ml_worker.recommenders.ease import Ease
from ml_worker.recommenders.recurrent import Recurrent
from ml_worker.recommenders.sequential import Sequential

NEW = 1000


@pytest.mark.parametrize(
    ("algorithm", "config", "fixture"),
    [
        pytest.param(Als, {}, "division", id="als"),
        pytest.param(Ease, {"dense_items": 3000}, "division", id="ease"),
        pytest.param(Sequential, {"dense_items": 2500}, "next_division", id="sequential"),
        pytest.param(Recurrent, {"size": 64, "hidden": 64, "rate": 0.004}, "next_division", id="recurrent"),
    ],
)
def test_a_partial_training_is_as_good_as_a_full_one(request, algorithm, config, fixture):
    """Of the events to learn from, 1,000 drawn at random are new: of hundreds of users, and nobody's last. Nothing is trained in full."""
    division = request.getfixturevalue(fixture)
    is_new = np.zeros(len(division.training), dtype=bool)
    is_new[np.random.default_rng(5).choice(len(is_new), NEW, replace=False)] = True
    known, new = np.flatnonzero(~is_new), np.flatnonzero(is_new)
    assert len(np.unique(division.training.users[new])) > 250
    made, anew = (algorithm(algorithm.Config(**config)) for _ in range(2))
    made.fit(division.training.part(known))
    notes: list[str] = []
    made.update(division.training.part(np.r_[known, new]), since=len(known), progress=lambda _done, note: notes.append(note))
    assert not any("too much is new" in note for note in notes)
    anew.fit(division.training)
    partial, full = (division.ndcgs(lambda asked, model=model: model.recommend(asked, count=10)) for model in (made, anew))
    interval = intervals({"full": full}, users=np.arange(len(full)), seed=0)["full"]
    assert interval.low <= partial.mean()
