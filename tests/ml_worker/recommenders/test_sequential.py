"""What is particular to the sequential model: the sums over steps, the order of events, the window."""

import numpy as np
import pytest
from pydantic import ValidationError

from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.sequential import Sequential


def fitted(interactions: Interactions, **config) -> Sequential:
    made = Sequential(Sequential.Config(**config))
    made.fit(interactions)
    return made


@pytest.fixture(scope="module")
def chain() -> Interactions:
    """Everybody walks round a circle of 12 items, from somewhere, and dislikes one item on the way."""
    users, steps = np.divmod(np.arange(40 * 8), 8)
    items = (users * 5 + steps) % 12
    names = [f"{item:02}" for item in items]
    weights = np.where(steps == users % 8, -1.0, 1.0)
    return Interactions.from_events([f"{user:02}" for user in users], names, weights, 100 * users + steps)


def straightforward(interactions: Interactions, config: Sequential.Config) -> np.ndarray:
    """B as the docstring defines it, step by step."""
    size, asked = len(interactions.item_ids), interactions.histories()
    lengths = np.diff(asked.offsets)
    states, follows = np.zeros((size, size)), np.zeros((size, size))
    for row, (start, stop) in enumerate(zip(asked.offsets, asked.offsets[1:], strict=False)):
        items = asked.items[start:stop]
        said = np.where(asked.weights[start:stop] > 0, 1.0, -config.dislike)
        for step in range(len(items)):
            state, target = np.zeros(size), np.zeros(size)
            for before in range(step):
                age = step - 1 - before
                shares = np.mean([age < window for window in config.windows])
                state[items[before]] += said[before] * shares * (1 + age) ** -config.decay
            for ahead in range(min(config.horizon, len(items) - step)):
                target[items[step + ahead]] += said[step + ahead] / (1 + ahead)
            weight = (lengths[row] / lengths.mean()) ** -config.user_weight
            states += weight * np.outer(state, state)
            follows += weight * np.outer(state, target)
    system = states + np.diag(config.ridge + config.dropout / (1 - config.dropout) * np.diag(states))
    return np.linalg.solve(system, follows)


@pytest.mark.parametrize(
    "config", [{}, {"horizon": 3}, {"windows": (2,)}, {"windows": (2, 5), "decay": 1.5}, {"dropout": 0.5, "dislike": 1.0, "user_weight": 1}]
)
def test_the_weights_are_those_of_the_definition(chain, config):
    settings = Sequential.Config(ridge=2, kept=12, **config)
    uneven = chain.part(np.arange(len(chain)) < len(chain) - 5)  # the last user has fewer steps
    assert fitted(uneven, **settings.model_dump())._effects.weights.toarray() == pytest.approx(straightforward(uneven, settings), abs=1e-4)


def test_what_comes_next_is_offered_first(chain):
    model = fitted(chain, ridge=1, horizon=1)
    forwards, backwards = (Histories.from_events([0] * 3, items, [1] * 3, shape=(1, 12)) for items in ([3, 4, 5], [5, 4, 3]))
    assert model.recommend(forwards, count=1)[0].items.tolist() == [6]
    assert model.scores(forwards)[0][6] > model.scores(backwards)[0][6]


def test_the_order_is_that_of_time(chain):
    model = fitted(chain, ridge=1)
    shuffled = Histories.from_events([0] * 3, [5, 3, 4], [1] * 3, [30, 10, 20], shape=(1, 12))
    ordered = Histories.from_events([0] * 3, [3, 4, 5], [1] * 3, shape=(1, 12))
    assert model.scores(shuffled).tolist() == model.scores(ordered).tolist()


def test_what_lies_before_the_window_says_nothing(chain):
    model = fitted(chain, ridge=1, windows=(2,))
    long, short = (Histories.from_events([0] * len(items), items, [1] * len(items), shape=(1, 12)) for items in ([9, 1, 2], [1, 2]))
    assert model.scores(long).tolist() == model.scores(short).tolist()
    assert model._contributions(long, np.arange(12, dtype=np.int32))[:, 2].tolist() == [0] * 12


def test_several_events_of_one_item_in_a_row_are_one(chain):
    model = fitted(chain, ridge=1)
    once, twice = (Histories.from_events([0] * len(items), items, [1] * len(items), shape=(1, 12)) for items in ([1, 2], [1, 1, 2, 2, 2]))
    assert model.scores(once).tolist() == model.scores(twice).tolist()


def test_the_contributions_of_a_history_add_up_to_the_score(drawn):
    model = fitted(drawn)
    for row in range(5):
        history = drawn.histories([row])
        assert model._contributions(history, np.arange(40)).sum(axis=1) == pytest.approx(model.scores(history)[0], abs=1e-5)


@pytest.mark.parametrize("windows", [(), (0,), (2000,)])
def test_windows_that_cannot_be_are_refused(windows):
    with pytest.raises(ValidationError):
        Sequential.Config(windows=windows)
