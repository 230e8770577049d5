"""What is particular to the recurrent network: its gradients, its windows, the order of events, the state without a replay."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_worker.recommenders import recurrent_network as network
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.recurrent import Recurrent
from ml_worker.recommenders.recurrent_training import Candidates, Latest, Sequences, Training, Windows
from ml_worker.recommenders.registry import load_recommender
from ml_worker.recommenders.state import DamagedModel, pack

QUICK = {"size": 8, "hidden": 12, "decays": (0.0, 0.5, 0.9), "window": 6, "dropout": 0.0}


def fitted(interactions: Interactions, **config) -> Recurrent:
    made = Recurrent(Recurrent.Config(**{**QUICK, **config}))
    made.fit(interactions)
    return made


def walk(step: int) -> Interactions:
    """Everybody walks round a circle of 12 items by this step, from somewhere."""
    users, steps = np.divmod(np.arange(40 * 8), 8)
    names = [f"{item:02}" for item in (users * 5 + step * steps) % 12]
    return Interactions.from_events([f"{user:02}" for user in users], names, np.ones(len(users)), 100 * users + steps)


def after(*items: int) -> Histories:
    return Histories.from_events([0] * len(items), items, [1.0] * len(items), list(range(len(items))), shape=(1, 12))


@pytest.mark.parametrize("step", [1, 11])
def test_it_learns_the_direction_of_a_walk(step):
    """Histories of the same items in the other order are answered by other items."""
    model = fitted(walk(step))
    for start in range(12):
        met = [(start + step * k) % 12 for k in range(3)]
        (ranking,) = model.recommend(after(*met), count=1)
        assert ranking.items[0] == (start + 3 * step) % 12


@pytest.mark.parametrize("negatives", [3, 100])
def test_gradients_are_those_of_the_loss(negatives):
    """Along a drawn direction of each array of weights; 100 negatives are all items, 3 leave some out."""
    random = np.random.default_rng(3)
    config = Recurrent.Config(**{**QUICK, "negatives": negatives})
    weights = network.made(random, 9, decays=3, size=8, hidden=12)
    weights = {name: array + np.float32(0.1) * random.standard_normal(array.shape, dtype=np.float32) for name, array in weights.items()}
    training = Training(config, weights, np.arange(1, 10), random)
    candidates: Candidates = training._candidates()
    windows = Windows(random.integers(0, 9, 30), starts=np.array([2, 9, 20]), steps=np.array([6, 3, 1]))
    _, gradients = training._gradients(windows, candidates, random)
    for name, array in weights.items():
        direction = random.standard_normal(array.shape, dtype=np.float32)
        losses = []
        for far in (1e-2, -1e-2):
            weights[name] = array + np.float32(far) * direction
            losses.append(training._gradients(windows, candidates, random)[0])
        weights[name] = array
        assert (losses[0] - losses[1]) / 2e-2 == pytest.approx(float((gradients[name] * direction).sum()), rel=0.02, abs=2e-3), name


def test_the_state_of_a_user_is_the_one_that_was_trained(drawn):
    """Memories summed up from the history are those of the recurrence, after each of its steps."""
    model = fitted(drawn)
    items = np.array([3, 7, 3, 11, 20])
    told = network.normalized(model._weights["items"][items]).rows
    memories = network.remembered(network.fading(model._decays, len(items)), told, np.array([len(items)]))
    for length in range(1, len(items) + 1):
        asked = Histories.from_events([0] * length, model._columns[items[:length]], [1.0] * length, range(length), shape=(1, 40))
        state = network.state_of(model._weights, model._weights["items"][items[length - 1 : length]], memories[length - 1 : length])
        answers = state.normal.rows @ model._weights["items"].T + model._weights["bias"]
        scores = model.scores(asked)[0, model._columns]
        assert scores - scores.min() == pytest.approx(answers[0] - answers.min(), abs=1e-4)


@given(lengths=st.lists(st.integers(1, 150), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_memories_fade_from_step_to_step_of_each_window(lengths, seed):
    """By one matrix as one after the other, and the gradient by what is told likewise."""
    random = np.random.default_rng(seed)
    decays = np.array([0.0, 0.6, 0.98], dtype=np.float32)
    faded = network.fading(decays, 150)
    told = random.standard_normal((sum(lengths), 3), dtype=np.float32)
    memories = network.remembered(faded, told, np.array(lengths))
    towards = random.standard_normal(memories.shape, dtype=np.float32)
    by_told = network.through_memories(faded, towards, np.array(lengths))
    for window in np.split(np.arange(len(told)), np.cumsum(lengths)[:-1]):
        expected, gradient = np.zeros((3, 3), dtype=np.float32), np.zeros((3, 3), dtype=np.float32)
        for step in window:
            expected = decays[:, None] * expected + (1 - decays)[:, None] * told[step]
            assert memories[step] == pytest.approx(expected.ravel(), abs=1e-5)
        for step in window[::-1]:
            gradient = decays[:, None] * gradient + towards[step].reshape(3, 3)
            assert by_told[step] == pytest.approx((1 - decays) @ gradient, abs=1e-4)


def test_contributions_add_up_to_the_score(drawn):
    """But for what the biases say, whoever asks."""
    model = fitted(drawn)
    history = drawn.histories([5])
    ranked = np.array([1, 2, 30], dtype=np.int32)
    latest = Latest.of(history, model._place, model.config.window)
    asked = model._weights["items"][model._place[ranked]]
    state = model._state_after(latest)
    of_hidden = model._weights["hidden_bias"] * (state.hidden / state.before)
    of_biases = of_hidden @ model._weights["output"] + model._weights["output_bias"]
    of_biases = (of_biases - of_biases.mean()) / state.normal.spread
    expected = (state.normal.rows - of_biases) @ asked.T
    contributions = model._contributions(history, ranked)
    assert contributions.sum(axis=1) == pytest.approx(expected[0], rel=1e-4, abs=1e-4)
    assert np.count_nonzero(contributions[0]) == len(np.unique(latest.items))


@given(lengths=st.lists(st.integers(2, 30), min_size=1, max_size=6), window=st.integers(2, 9), seed=st.integers(0, 99))
def test_every_step_is_learnt_from_once(lengths, window, seed):
    offsets = np.r_[0, np.cumsum(lengths)]
    sequences = Sequences(np.arange(offsets[-1]), offsets)
    starts, steps = sequences.windows(window, np.random.default_rng(seed))
    assert steps.min() >= 1
    assert steps.max() <= window
    learnt = np.concatenate([start + np.arange(count) for start, count in zip(starts, steps, strict=True)])
    assert sorted(learnt) == sorted(set(range(offsets[-1])) - set(offsets[1:] - 1))


def test_the_same_training_makes_the_same_model(drawn):
    assert fitted(drawn, dropout=0.3).save() == fitted(drawn, dropout=0.3).save()


def test_going_on_from_a_part_of_the_data_is_learning_more(drawn):
    """Weights are taken over, whatever item is new; with no step worth speaking of they stay what they were."""
    part = drawn.part(np.flatnonzero(drawn.items != 3)[::2])
    start, still = fitted(part), Recurrent(Recurrent.Config(**QUICK, rate=1e-30))
    still.fit(drawn, start=start)
    kept = np.searchsorted(still._columns, start._columns)
    assert still._weights["items"][kept] == pytest.approx(start._weights["items"])
    assert np.setdiff1d(still._columns, start._columns).tolist() == [3]
    more = Recurrent(Recurrent.Config(**QUICK))
    more.fit(drawn, start=start)
    assert not np.allclose(more._weights["items"][kept], start._weights["items"])


def test_only_the_most_liked_items_take_part(drawn):
    model = fitted(drawn, dense_items=10)
    likes = np.bincount(drawn.items[drawn.weights > 0], minlength=40)
    assert len(model._columns) == 10
    assert likes[model._columns].min() >= np.sort(likes)[-10]
    scores = model.scores(drawn.histories())
    others = np.setdiff1d(np.arange(40), model._columns)
    assert (scores[:, others].max(axis=1) <= scores[:, model._columns].min(axis=1) + 1e-5).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bias": np.zeros(3, dtype=np.float32)}, "columns, items and bias are of 40, 40 and 3 items"),
        ({"columns": np.full(40, 40, dtype=np.int32)}, "outside the model's 40"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(drawn, changes, message):
    state = fitted(drawn)._fitted()
    damaged = type(state)(state.algorithm, state.config, state.item_ids, {**state.arrays, **changes})
    with pytest.raises(DamagedModel, match=message):
        load_recommender(pack(damaged, libraries=Recurrent.libraries))
