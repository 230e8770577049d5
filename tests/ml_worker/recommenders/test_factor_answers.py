"""What a model of factors answers without scoring everything, against all its scores."""

import numpy as np
import pytest

from ml_worker.recommenders.als import Als
from ml_worker.recommenders.base import Recommender
from ml_worker.recommenders.factor_answers import FactorAnswer
from ml_worker.recommenders.interactions import Histories
from ml_worker.recommenders.lightfm import LightFm
from ml_worker.recommenders.selection import best_of, leave_out


@pytest.fixture(scope="module")
def model(drawn) -> Als:
    made = Als(Als.Config(factors=8))
    made.fit(drawn)
    return made


@pytest.fixture(
    scope="module", params=[Als(Als.Config(factors=8)), LightFm(LightFm.Config(factors=8, epochs=3))], ids=lambda made: made.name
)
def served(request, drawn) -> Recommender:
    request.param.fit(drawn)
    return request.param


@pytest.fixture
def asked() -> Histories:
    """Sixty users: histories shorter and longer than there are factors, some with nothing, some without a like."""
    rng = np.random.default_rng(5)
    lengths = rng.integers(0, 20, 60)
    items = np.concatenate([rng.choice(40, length, replace=False) for length in lengths])
    return Histories.from_events(np.repeat(np.arange(60), lengths), items, rng.choice([-1, 0, 0.5, 2], len(items)), shape=(60, 40))


def test_the_best_are_those_of_all_scores(served, asked):
    exclude = np.arange(40) % 5 == 0
    answer = served.answer(asked)
    assert {True, False} == set(answer.is_personal.tolist())
    scores = served.scores(asked)
    leave_out(scores, asked.matrix, exclude)
    found, expected = answer.best(count=12, exclude=exclude), best_of(scores, count=12)
    assert found.lengths.tolist() == expected.lengths.tolist()
    assert np.array_equal(found.items, expected.items)
    assert found.scores == pytest.approx(expected.scores, abs=1e-6)


def test_some_scores_are_those_among_all(served, asked):
    rows, columns = np.array([3, 0, 41]), np.array([7, 2])
    scores = served.scores(asked)
    for chosen in (rows, np.flatnonzero(served.is_personal(asked))[:4]):
        assert served.answer(asked).scores_of(chosen) == pytest.approx(scores[chosen], abs=1e-6)
        assert served.answer(asked).scores_of(chosen, columns) == pytest.approx(scores[np.ix_(chosen, columns)], abs=1e-6)


def test_many_users_get_the_parts_that_each_gets_alone(served, asked):
    answer = served.answer(asked)
    rows, ranked = np.flatnonzero(answer.is_personal), answer.best(count=12).items
    for row, parts in zip(rows, answer.parts(rows, ranked[rows]), strict=True):
        alone = served._contributions(asked.take([row]), ranked[row])
        assert parts[:, : alone.shape[1]] == pytest.approx(alone, abs=1e-5)
        assert not parts[:, alone.shape[1] :].any()


def test_inverses_that_were_kept_tell_what_others_work_out_again(model, asked):
    kept = model.answer(asked)
    equations = model._fold_in.asked(asked.matrix, model._weighed(asked.matrix), kept_numbers=0)
    lean = FactorAnswer(model.answer(asked), model._index, factored=equations, popular=model._cold_index)
    ranked = kept.best(count=12).items
    rows = np.flatnonzero(kept.is_personal)
    assert kept.parts(rows, ranked[rows]) == pytest.approx(lean.parts(rows, ranked[rows]), abs=1e-6)
    # Which of two items comes first that add the same is up to the rounding.
    added = np.zeros((60, 12, 40))
    for row, parts in zip(rows, kept.parts(rows, ranked[rows]), strict=True):
        items = asked.matrix[row].indices
        added[row][:, items] = parts[:, : len(items)]
    told = [answer.speakers(ranked) for answer in (kept, lean)]
    first, second = (np.where(some >= 0, np.take_along_axis(added, np.maximum(some, 0), axis=2), 0) for some in told)
    assert first == pytest.approx(second, abs=1e-6)
