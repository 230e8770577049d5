"""Reasons of models that serve by weights between items: looked up for many users together, they are those of each alone."""

import numpy as np
import pytest

from ml_worker.recommenders.base import Recommender
from ml_worker.recommenders.blend import Blend
from ml_worker.recommenders.ease import Ease
from ml_worker.recommenders.interactions import Histories


@pytest.fixture(scope="module", params=[Ease(), Blend()], ids=lambda made: made.name)
def served(request, drawn) -> Recommender:
    request.param.fit(drawn)
    return request.param


def test_many_users_get_the_parts_that_each_gets_alone(served):
    rng = np.random.default_rng(7)
    lengths = rng.integers(0, 20, 30)
    items = np.concatenate([rng.choice(40, length, replace=False) for length in lengths])
    asked = Histories.from_events(np.repeat(np.arange(30), lengths), items, rng.choice([-1, 0, 0.5, 2], len(items)), shape=(30, 40))
    answer = served.answer(asked)
    ranked, rows = answer.best(count=12).items, np.flatnonzero(answer.is_personal)[::-1]
    assert 0 < len(rows) < 30
    together = answer.parts_of(ranked)(rows)
    assert together == pytest.approx(answer.parts(rows, ranked[rows]), abs=1e-6)
    for row, parts in zip(rows, together, strict=True):
        alone = served.answer(asked.take([row])).parts(np.array([0]), ranked[[row]])[0]
        assert parts[:, : alone.shape[1]] == pytest.approx(alone, rel=1e-4, abs=1e-5)
        assert not parts[:, alone.shape[1] :].any()
