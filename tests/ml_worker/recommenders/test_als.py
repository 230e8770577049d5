"""What is particular to ALS: fold-in, dislikes, missing verdicts, and reasons that add up."""

import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from pydantic import ValidationError
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_info, threadpool_limits

from ml_worker.evaluation.cold import cold_items
from ml_worker.evaluation.lists import rank
from ml_worker.recommenders.als import Als
from ml_worker.recommenders.base import Recommender, ScoresNotFinite
from ml_worker.recommenders.fold_in import FoldIn
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.state import DamagedModel
from ml_worker.workbench.source import read_interactions


@pytest.fixture(scope="module")
def model(drawn) -> Als:
    made = Als(Als.Config(factors=8))
    made.fit(drawn)
    return made


def scores(model: Als, **weights: float) -> np.ndarray:
    """The score of every item for one history, keyed by column: `i3=1.0`."""
    columns = [int(name[1:]) for name in weights]
    return model.scores(Histories.from_events([0] * len(columns), columns, [*weights.values()], shape=(1, 40)))[0]


def test_fold_in_solves_the_equations_implicit_solves(model, drawn):
    """The same confidences through implicit's own solver; dislikes and missing verdicts included."""
    matrix = drawn.matrix()
    assert {-1, 0, 1} <= set(np.sign(matrix.data))
    signed = np.sign(matrix.data) * (1 + model.config.alpha * np.log2(1 + np.abs(matrix.data)))
    with threadpool_limits(1, "blas"):
        reference = AlternatingLeastSquares(factors=8, alpha=1.0, regularization=float(model._fitted().arrays["regularization"]))
    reference.item_factors = model._fitted().arrays["item_factors"]
    solved = reference.recalculate_user(np.arange(60), csr_matrix((signed, matrix.indices, matrix.indptr), shape=matrix.shape))
    assert model.scores(drawn.histories()) == pytest.approx(solved @ reference.item_factors.T, abs=1e-4)


def test_a_dislike_lowers_what_is_alike(model):
    liked = scores(model, i0=1.0, i2=1.0)
    disliked = scores(model, i0=1.0, i2=-1.0)
    alike = np.arange(4, 40, 2)
    assert disliked[2] < liked[2]
    assert (disliked[alike] < liked[alike]).all()
    # Not only the missing like: the dislike itself speaks, and a stronger one more.
    assert disliked[2] < scores(model, i0=1.0)[2]
    assert scores(model, i0=1.0, i2=-4.0)[2] < disliked[2]


def test_what_was_seen_without_a_verdict_is_not_held_against_its_like(model):
    alone, seen = scores(model, i0=1.0), scores(model, i0=1.0, i2=0.0)
    assert (seen[np.arange(4, 40, 2)] >= alone[np.arange(4, 40, 2)]).all()


def test_the_contributions_of_a_history_add_up_to_the_score(model, drawn):
    for row in range(5):
        history = drawn.histories([row])
        parts = model._contributions(history, np.arange(40))
        assert parts.sum(axis=1) == pytest.approx(model.scores(history)[0], abs=1e-5)


def test_many_users_get_the_parts_that_each_gets_alone(model, drawn):
    """Histories shorter and longer than there are factors, some with nothing, some without a like."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(0, 20, 50)
    rows, items = np.repeat(np.arange(50), lengths), np.concatenate([rng.choice(40, length, replace=False) for length in lengths])
    asked = Histories.from_events(rows, items, rng.choice([-1, 0, 0.5, 2], len(rows)), shape=(50, 40))
    ranked = np.stack([rng.permutation(40)[:15] for _ in range(50)]).astype(np.int32)
    parts = model._parts(asked, ranked)
    assert parts.shape == (50, 15, lengths.max())
    for row, length in enumerate(lengths.tolist()):
        assert parts[row, :, :length] == pytest.approx(model._contributions(asked.take([row]), ranked[row]), abs=1e-6)
        assert not parts[row, :, length:].any()
    scores = model._score(asked)
    assert parts.sum(axis=2) == pytest.approx(np.take_along_axis(scores, ranked, axis=1), abs=1e-5)
    assert {True, False} == set((lengths < 8).tolist())


def test_dislikes_are_never_a_reason(model, explain):
    asked = Histories.from_events([0] * 4, [0, 2, 1, 4], [1, 1, -1, 0], shape=(1, 40))
    speakers = explain(model, asked, model.recommend(asked, count=40), count=9)[0]
    assert set(np.concatenate(speakers).tolist()) == {0, 2}


def test_reasons_are_ordered_by_strength(model, explain):
    asked = Histories.from_events([0] * 6, [0, 2, 4, 6, 8, 10], [1, 0.2, 0.5, 1, 0.1, 1], shape=(1, 40))
    rankings = model.recommend(asked, count=3)
    parts = model._contributions(asked, rankings[0].items)
    for reasons, of_item in zip(explain(model, asked, rankings, count=6)[0], parts, strict=True):
        strengths = dict(zip(asked.matrix.indices.tolist(), of_item, strict=True))
        assert [strengths[item] for item in reasons] == sorted((part for part in of_item if part > 0), reverse=True)


KINDS = csr_matrix(np.eye(2, dtype=np.float32)[np.arange(40) % 2])


def with_kinds(interactions: Interactions) -> Interactions:
    return replace(interactions, item_features=KINDS)


@pytest.fixture(scope="module")
def stripped(drawn) -> Interactions:
    """The last two items lose their events; their kind is a feature."""
    return with_kinds(drawn.part(drawn.items < 38))


def test_an_item_without_likes_is_scored_like_those_of_its_kind(stripped):
    model, without = (Als(Als.Config(factors=8)) for _ in range(2))
    model.fit(stripped)
    without.fit(replace(stripped, item_features=None))
    even, odd = Histories.from_events([0, 0], [0, 2], [1, 1], shape=(1, 40)), Histories.from_events([0, 0], [1, 3], [1, 1], shape=(1, 40))
    assert model.scores(even)[0][38] > model.scores(even)[0][39]
    assert model.scores(odd)[0][39] > model.scores(odd)[0][38]
    assert model.scores(even)[0][:38] == pytest.approx(without.scores(even)[0][:38], abs=1e-6)


def test_who_has_met_an_item_without_likes_is_served_as_if_not(stripped):
    model = Als(Als.Config(factors=8))
    model.fit(stripped)
    for weight in (1, 0, -1):
        met, unmet = (
            Histories.from_events([0] * len(items), items, [1, 1, weight][: len(items)], shape=(1, 40)) for items in ([0, 2, 38], [0, 2])
        )
        assert model.scores(met) == pytest.approx(model.scores(unmet), abs=1e-6)
        speakers = model.speakers(met, np.arange(40, dtype=np.int32)[None, :], count=3)
        assert 38 not in speakers


def test_a_partial_training_learns_items_from_nothing_and_keeps_the_others_like_their_kind(drawn, stripped):
    """Item 38 gets its events; what its features said of it is no evidence against them."""
    order = np.r_[np.flatnonzero(drawn.items < 38), np.flatnonzero(drawn.items == 38)]
    whole, since = with_kinds(drawn.part(order)), int(np.count_nonzero(drawn.items < 38))
    model, plain = Als(Als.Config(factors=8)), Als(Als.Config(factors=8))
    model.fit(stripped)
    plain.fit(replace(stripped, item_features=None))
    model.update(whole, since=since)
    plain.update(replace(whole, item_features=None), since=since)
    assert model._factors[:39] == pytest.approx(plain._factors[:39], abs=1e-5)
    assert not plain._factors[39].any()
    assert model._factors[39].any()


def test_films_nobody_has_seen_are_found_by_their_genres(movielens):
    """Among a tenth of the films, stripped of their ratings: with genres several times what chance finds (measured: 0.057 and 0.013)."""
    split = cold_items(read_interactions(str(movielens), progress=lambda _done, _note: None))
    found = []
    for train in (split.train, replace(split.train, item_features=None)):
        model = Als()
        model.fit(train)
        ranked, gains = rank(model, split, count=10), 1 / np.log2(np.arange(2, 12))
        wanted = [split.test.items[start:end] for start, end in pairwise(split.test.offsets)]
        found.append(np.mean([(np.isin(one, of) * gains).sum() / gains[: len(of)].sum() for one, of in zip(ranked, wanted, strict=True)]))
    assert found[0] > 0.045
    assert found[0] > 3 * found[1]


def test_the_preset_scales_with_the_data(drawn):
    """Twice the users of the same taste need more regularization; items nobody met and idle users change nothing."""
    twice = Interactions(
        (*drawn.user_ids, *(f"{name} again" for name in drawn.user_ids)),
        drawn.item_ids,
        np.concatenate([drawn.users, drawn.users + np.int32(60)]),
        *(np.concatenate([column, column]) for column in (drawn.items, drawn.weights, drawn.times)),
    )
    padded = Interactions((*drawn.user_ids, "idle"), (*drawn.item_ids, "never met"), drawn.users, drawn.items, drawn.weights, drawn.times)
    found = {}
    for name, interactions in (("once", drawn), ("twice", twice), ("padded", padded)):
        model = Als(Als.Config(factors=8))
        model.fit(interactions)
        found[name] = float(model._fitted().arrays["regularization"])
    assert found["once"] < found["twice"] < 2 * found["once"]
    assert found["padded"] == found["once"]


def test_the_seed_decides(drawn):
    first, second = (Als(Als.Config(factors=8, seed=seed)) for seed in (1, 2))
    first.fit(drawn)
    second.fit(drawn)
    assert first.save()["arrays.npz"] != second.save()["arrays.npz"]


def test_scores_beyond_numbers_are_an_error_by_name(drawn, model):
    broken = Als.load(model.save())
    broken._fold_in = FoldIn(broken._factors, np.full((8, 8), np.nan))
    with pytest.raises(ScoresNotFinite, match="als scored 1 of 1 users"):
        broken.recommend(Histories.from_events([0], [0], [1], shape=(1, 40)), count=1)


def test_a_model_whose_users_cannot_be_solved_is_damaged(model):
    state = model._fitted()
    arrays = {**state.arrays, "item_factors": np.zeros((40, 8), dtype=np.float32), "regularization": np.array(0, dtype=np.float32)}
    with pytest.raises(DamagedModel, match="no unique factors"):
        Als.from_state(replace(state, arrays=arrays))


def test_training_warns_of_nothing_and_leaves_the_threads_as_they_were(drawn):
    before = [pool["num_threads"] for pool in threadpool_info()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Als(Als.Config(factors=4, iterations=1)).fit(drawn)
    assert [pool["num_threads"] for pool in threadpool_info()] == before


@pytest.mark.parametrize("wrong", [{"factors": 0}, {"alpha": 0}, {"alpha": float("nan")}, {"regularization": -1}, {"factor": 64}])
def test_a_configuration_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValidationError):
        Als.Config(**wrong)


def test_the_configuration_of_something_else_is_refused():
    with pytest.raises(TypeError, match=r"Als is configured by Als\.Config, not Recommender\.Config"):
        Als(Recommender.Config())
