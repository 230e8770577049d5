"""What is particular to the infinitely wide autoencoder: the kernel, its equations, and the landmarks."""

import numpy as np
import pytest

from ml_worker.recommenders.infinite_ae import InfiniteAe
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.registry import load_recommender
from ml_worker.recommenders.state import DamagedModel, pack


def nearness(cosines: np.ndarray) -> np.ndarray:
    bounded = np.clip(cosines, -1, 1)
    return (2 * bounded * (np.pi - np.arccos(bounded)) + np.sqrt(1 - bounded**2)) / (2 * np.pi)


def told(interactions: Interactions, dislike: float) -> np.ndarray:
    weights = interactions.matrix().toarray()
    return np.where(weights > 0, 1.0, np.where(weights < 0, -dislike, 0.0))


def expected(interactions: Interactions, config: InfiniteAe.Config) -> np.ndarray:
    rows = told(interactions, config.dislike)
    near = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    kernel = nearness(near @ near.T)
    return lifted(kernel @ np.linalg.solve(kernel + config.ridge * np.sqrt(len(rows)) * np.eye(len(rows)), rows))


def lifted(scores: np.ndarray) -> np.ndarray:
    """None below 0."""
    return scores - np.minimum(scores.min(axis=1, keepdims=True), 0)


def fitted(interactions: Interactions, **config) -> InfiniteAe:
    model = InfiniteAe(InfiniteAe.Config(**config))
    model.fit(interactions)
    return model


@pytest.mark.parametrize("config", [{}, {"ridge": 2.0}, {"dislike": 0.5}])
def test_the_scores_are_those_of_the_formula(drawn, config):
    model = fitted(drawn, **config)
    assert model.scores(drawn.histories()) == pytest.approx(expected(drawn, model.config), abs=2e-4)


def test_the_kernel_is_the_slope_of_an_infinitely_wide_layer(drawn):
    """κ from its definition: what two inputs have in common in the derivatives of a very wide random network by all its weights."""
    random = np.random.default_rng(0)
    one, other = random.standard_normal(6), random.standard_normal(6)
    one, other = one / np.linalg.norm(one), other / np.linalg.norm(other)
    inner, outer = random.standard_normal((400_000, 6)), random.standard_normal(400_000)
    first, second = inner @ one, inner @ other
    by_outer = np.maximum(first, 0) * np.maximum(second, 0)
    by_inner = outer**2 * (first > 0) * (second > 0) * (one @ other)
    assert np.mean(by_outer + by_inner) == pytest.approx(nearness(one @ other), abs=0.01)


def test_fewer_landmarks_than_users_come_close_and_all_but_one_closer(drawn):
    whole = fitted(drawn).scores(drawn.histories())
    apart = [np.abs(fitted(drawn, landmarks=count).scores(drawn.histories()) - whole).mean() for count in (10, 30, 59)]
    assert apart[0] > apart[1] > apart[2]
    assert apart[2] < 0.05 * whole.std()


def test_at_most_so_many_users_are_learnt_from(drawn):
    model = fitted(drawn, most_users=20, landmarks=7)
    assert model._answers.shape == (7, 40)
    assert fitted(drawn, most_users=20)._answers.shape == (20, 40)


def test_items_that_take_no_part_follow_by_popularity(drawn):
    model = fitted(drawn, dense_items=30)
    popularity = drawn.popularity()
    outside = np.setdiff1d(np.arange(40), model._columns)
    assert len(outside) == 10
    for scores in model.scores(drawn.histories()):
        assert scores[outside].max() <= scores[model._columns].min() + 1e-5
        assert np.argsort(-scores[outside], kind="stable").tolist() == np.argsort(-popularity[outside], kind="stable").tolist()


def test_the_contributions_of_a_history_add_up_to_the_score_but_for_what_strangers_have(drawn):
    model = fitted(drawn)
    nobody = nearness(np.zeros(len(model._answers))) @ model._answers
    for row in range(5):
        history = drawn.histories([row])
        added = model._contributions(history, np.arange(40)).sum(axis=1)
        assert lifted((added + nobody)[None])[0] == pytest.approx(model.scores(history)[0], abs=1e-3)


def test_an_item_that_takes_no_part_is_nobodys_reason(drawn):
    model = fitted(drawn, dense_items=30)
    outside = int(np.setdiff1d(np.arange(40), model._columns)[0])
    history = Histories.from_events([0, 0], [outside, int(model._columns[0])], [1, 1], shape=(1, 40))
    contributions = model._contributions(history, np.array([outside, model._columns[1]]))
    of_outside = history.matrix.indices.tolist().index(outside)
    assert not contributions[0].any()
    assert contributions[1, of_outside] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": np.full(40, 40, dtype=np.int32)}, "outside the model's 40"),
        ({"columns": np.arange(39, dtype=np.int32)}, "answers are for 40 items, columns name 39"),
        ({"profile_offsets": np.zeros(41, dtype=np.int64)}, "profile_offsets do not divide"),
        ({"profile_landmarks": None}, "users outside the model's 60"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(drawn, changes, message):
    state = fitted(drawn)._fitted()
    filled = {name: np.full_like(state.arrays[name], 60) if array is None else array for name, array in changes.items()}
    damaged = type(state)(state.algorithm, state.config, state.item_ids, {**state.arrays, **filled})
    with pytest.raises(DamagedModel, match=message):
        load_recommender(pack(damaged, libraries=InfiniteAe.libraries))
