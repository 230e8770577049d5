"""What is particular to EASE: the closed form, dislikes, the cap of the dense catalogue, items without likes."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from ml_worker.recommenders.ease import MOST_ERROR, Ease
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.updating import FullTrainingNeeded


def fitted(interactions: Interactions, **config) -> Ease:
    made = Ease(Ease.Config(**config))
    made.fit(interactions)
    return made


def test_the_weights_are_those_of_the_formula(drawn):
    model = fitted(drawn, ridge=3, dropout=0.25, user_weight=0.5, dislike=0.4, kept=40)
    weights = drawn.matrix().toarray()
    told = np.where(weights > 0, 1.0, np.where(weights < 0, -0.4, 0.0))
    lengths = np.diff(drawn.matrix().indptr)
    gram = told.T @ np.diag((lengths / lengths.mean()) ** -0.5) @ told
    inverse = np.linalg.inv(gram + np.diag(3 + np.diag(gram) / 3))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    assert model._effects.weights.toarray() == pytest.approx(expected, abs=1e-5)
    assert model.scores(drawn.histories()) == pytest.approx(told @ expected, abs=1e-4)


def test_only_the_largest_weights_of_a_row_are_kept(drawn):
    whole, cut = (fitted(drawn, kept=kept)._effects.weights.toarray() for kept in (40, 5))
    for all_weights, kept in zip(whole, cut, strict=True):
        assert np.count_nonzero(kept) == 5
        assert set(np.flatnonzero(kept)) == set(np.argsort(-np.abs(all_weights), kind="stable")[:5])


def test_the_contributions_of_a_history_add_up_to_the_score(drawn):
    model = fitted(drawn)
    for row in range(5):
        history = drawn.histories([row])
        assert model._contributions(history, np.arange(40)).sum(axis=1) == pytest.approx(model.scores(history)[0], abs=1e-5)


def test_a_dislike_lowers_what_is_alike(drawn):
    model = fitted(drawn, ridge=5)
    without, disliked = model.scores(Histories.from_events([0, 1, 1], [0, 0, 2], [1, 1, -1], shape=(2, 40)))
    alike = np.arange(4, 40, 2)
    assert disliked[alike].mean() < without[alike].mean()


def test_beyond_the_dense_catalogue_items_are_ordered_by_popularity(drawn):
    model = fitted(drawn, dense_items=10)
    popularity = drawn.popularity()
    likes = np.bincount(drawn.items[drawn.weights > 0], minlength=40)
    dense = np.sort(np.lexsort((np.arange(40), -likes))[:10])
    tail = np.setdiff1d(np.arange(40), dense)
    assert not model._effects.weights[tail].nnz
    assert not model._effects.weights[:, tail].nnz
    scores = model.scores(Histories.from_events([0], [dense[0]], [1], shape=(1, 40)))[0]
    assert np.array_equal(np.argsort(-scores[tail], kind="stable"), np.argsort(-popularity[tail], kind="stable"))


def test_an_item_without_likes_is_scored_like_those_of_its_kind(drawn):
    """The last two items lose their events; their kind is a feature, and so are two that say nothing."""
    features = csr_matrix(np.eye(2, dtype=np.float32)[np.arange(40) % 2])
    stripped = drawn.part(drawn.items < 38)
    known = Interactions(
        stripped.user_ids, stripped.item_ids, stripped.users, stripped.items, stripped.weights, stripped.times, item_features=features
    )
    without, model = fitted(stripped, ridge=5), fitted(known, ridge=5, content_neighbours=5)
    even, odd = Histories.from_events([0, 0], [0, 2], [1, 1], shape=(1, 40)), Histories.from_events([0, 0], [1, 3], [1, 1], shape=(1, 40))
    assert model.scores(even)[0][38] > model.scores(even)[0][39]
    assert model.scores(odd)[0][39] > model.scores(odd)[0][38]
    assert without.scores(even)[0][38] == without.scores(even)[0][39] == 0
    assert model.scores(even)[0][:38] == pytest.approx(without.scores(even)[0][:38], abs=1e-6)


def distance(one: Ease, other: Ease) -> float:
    return float(np.abs((one._effects.weights - other._effects.weights).toarray()).sum())


def test_a_partial_training_is_close_to_the_full_one(drawn):
    """The weights move most of the way to those of a full training."""
    early = fitted(drawn.part(np.arange(len(drawn)) < len(drawn) - 40), ridge=20)
    updated, whole = Ease.from_state(early._fitted()), fitted(drawn, ridge=20)
    updated.update(drawn, since=len(drawn) - 40)
    assert 0 < updated._fitted().arrays["error"] < MOST_ERROR
    assert distance(updated, whole) < 0.4 * distance(early, whole)


@pytest.fixture(scope="module")
def shuffled(drawn) -> Interactions:
    """In an order of arrival in which new events are of many users."""
    return drawn.part(np.random.default_rng(3).permutation(len(drawn)))


def test_partial_trainings_of_many_users_one_after_the_other_stay_close(shuffled):
    """Each starts from what the one before left; together they are nearer to the full training than none."""
    first = len(shuffled) - 240
    early = fitted(shuffled.part(np.arange(first)), ridge=200)
    updated, whole = Ease.from_state(early._fitted()), fitted(shuffled, ridge=200)
    errors = [0.0]
    for stop in range(first + 40, len(shuffled) + 1, 40):
        updated.update(shuffled.part(np.arange(stop)), since=stop - 40)
        errors.append(float(updated._fitted().arrays["error"]))
    assert errors == sorted(errors)
    assert 0 < errors[-1] < MOST_ERROR
    assert distance(updated, whole) < 0.5 * distance(early, whole)


@pytest.mark.parametrize(("known", "error"), [pytest.param(30, 0.0, id="too much is new"), pytest.param(690, 0.0999, id="wrong for long")])
def test_where_a_partial_training_would_be_wrong_everything_is_solved_anew(shuffled, known, error):
    model, whole = fitted(shuffled.part(np.arange(known)), ridge=2), fitted(shuffled, ridge=2)
    state = model._fitted()
    model = Ease.from_state(replace(state, arrays={**state.arrays, "error": np.array(error, dtype=np.float32)}))
    model.update(shuffled, since=known)
    assert np.array_equal(model._effects.weights.toarray(), whole._effects.weights.toarray())
    assert model._fitted().arrays["error"] == 0


def test_what_says_nothing_new_changes_nothing(drawn):
    model = fitted(drawn)
    again = drawn.part(np.r_[np.arange(len(drawn)), np.flatnonzero(drawn.weights > 0)[:5]])
    before = model._effects.weights.toarray()
    model.update(again, since=len(drawn))
    assert np.array_equal(model._effects.weights.toarray(), before)


def test_a_catalogue_too_large_for_a_partial_training_is_refused_with_the_limit(drawn):
    model = fitted(drawn, updatable_items=10)
    with pytest.raises(
        FullTrainingNeeded, match="40 items take part in this ease model; partial training needs at most updatable_items = 10"
    ):
        model.update(drawn, since=len(drawn) - 1)
