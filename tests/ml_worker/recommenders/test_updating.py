"""What new interactions change, held against summing everything again."""

import numpy as np
import pytest

from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.popular import Popular
from ml_worker.recommenders.updating import Earlier


@pytest.fixture(scope="module")
def logged() -> Interactions:
    """Pairs meet several times, before and after; some users and items are new."""
    rng = np.random.default_rng(2)
    users, items = rng.integers(0, 12, 400), rng.integers(0, 15, 400)
    users[:300], items[:300] = users[:300] % 10, items[:300] % 13
    return Interactions.from_events(
        [f"u{user:02}" for user in users], [f"i{item:02}" for item in items], rng.choice([1, 0.5, 0, -0.5, -1], 400), np.arange(400)
    )


@pytest.fixture(scope="module", params=[0, 1, 60, 100])
def earlier(request, logged) -> Earlier:
    since = 400 - request.param
    early = logged.part(np.arange(since))
    known = sorted({logged.item_ids[item] for item in early.items})
    place = {name: column for column, name in enumerate(known)}
    columns = np.array([place[logged.item_ids[item]] for item in early.items], dtype=np.int32)
    first = Interactions(logged.user_ids, tuple(known), early.users, columns, early.weights, early.times)
    model = Popular()
    model.fit(first)
    return Earlier.of(model._fitted(), logged, since=since)


def test_the_sums_of_the_users_with_news_are_those_of_everything(earlier, logged):
    assert np.array_equal(earlier.matrix.toarray(), logged.matrix()[earlier.users].toarray())


def test_the_changes_are_the_pairs_with_news_before_and_after(earlier, logged):
    now = logged.matrix().toarray()
    then = logged.part(np.arange(earlier.since)).matrix().toarray()
    changes = earlier.changes
    pairs = [(user, item) for user, item in zip(earlier.users[changes.rows].tolist(), changes.items.tolist(), strict=True)]
    fresh = {
        (user, item) for user, item in zip(logged.users[earlier.since :].tolist(), logged.items[earlier.since :].tolist(), strict=True)
    }
    assert pairs == sorted(fresh)
    places = (earlier.users[changes.rows], changes.items)
    assert changes.after == pytest.approx(now[places], abs=1e-6)
    assert changes.before == pytest.approx(then[places], abs=1e-6)


def test_the_popularity_is_that_of_everything(earlier, logged):
    assert earlier.popularity() == pytest.approx(logged.popularity(), abs=1e-5)
