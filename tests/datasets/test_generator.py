"""The demo data has the structure it claims: heavy tails, tastes that can be learned, films that come and go, no orphans."""

import csv
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from datasets.generator import DemoSize, SizeImpossible, generate
from datasets.rows import ItemRow, UserRow

UNTIL = datetime(2026, 3, 1, 12, tzinfo=UTC)
SIZE = DemoSize()


def rows_of(size=SIZE, *, seed=1, until=UNTIL):
    data = generate(size, seed=seed, until=until)
    return list(data.users()), list(data.items()), [row for chunk in data.interactions() for row in chunk]


@pytest.fixture(scope="module")
def demo():
    return rows_of()


def gini(counts):
    """0 where everybody has the same, near 1 where one has everything."""
    ordered = np.sort(counts)
    return float((2 * np.arange(1, len(ordered) + 1) - len(ordered) - 1) @ ordered / (len(ordered) * ordered.sum()))


def history_matrix(users, items, rows):
    user_places = {user.id: place for place, user in enumerate(users)}
    item_places = {item.id: place for place, item in enumerate(items)}
    matrix = np.zeros((len(users), len(items)))
    for user_id, item_id, *_ in rows:
        matrix[user_places[user_id], item_places[item_id]] = 1
    return matrix


def recall_at_10(scores, history, later):
    top = np.argsort(-np.where(history > 0, -np.inf, scores), axis=1)[:, :10]
    counted = (later.sum(axis=1) > 0) & (history.sum(axis=1) > 0)
    hits = np.take_along_axis(later, top, axis=1).sum(axis=1)
    return float((hits[counted] / later.sum(axis=1)[counted]).mean())


def test_the_default_size_is_exact_and_nothing_refers_to_a_stranger(demo):
    users, items, rows = demo
    assert (len(users), len(items), len(rows)) == (600, 1200, 60_000)
    assert {row[0] for row in rows} <= {user.id for user in users}
    assert {row[1] for row in rows} <= {item.id for item in items}
    assert len({(row[0], row[1], row[2]) for row in rows}) == len(rows)
    assert len({item.title for item in items}) == len(items)
    assert all(1 <= len(item.categories) <= 3 for item in items)


def test_the_same_seed_makes_the_same_data_and_another_seed_does_not(demo):
    assert rows_of() == demo
    assert rows_of(seed=2)[2] != demo[2]


def test_time_alone_follows_until(demo):
    users, items, rows = rows_of(until=UNTIL + timedelta(days=365))
    assert users == demo[0]
    assert [item.title for item in items] == [item.title for item in demo[1]]
    assert items[0].released_at - demo[1][0].released_at == timedelta(days=365)
    assert [(*row[:4], row[4] - 365 * 86_400) for row in rows] == demo[2]


def test_events_fill_three_years_and_end_now(demo):
    seconds = np.array([row[4] for row in demo[2]])
    end = UNTIL.timestamp()
    assert seconds.max() <= end
    assert end - seconds.max() < 86_400
    assert 2.7 * 365 * 86_400 < end - seconds.min() < 3.3 * 365 * 86_400
    assert (np.diff(seconds) >= 0).all()


def test_few_films_and_few_people_have_most_of_the_ratings(demo):
    users, items, rows = demo
    history = history_matrix(users, items, [row for row in rows if row[2] == "rating"])
    by_film, by_user = np.sort(history.sum(axis=0))[::-1], history.sum(axis=1)
    assert 0.45 < gini(by_film) < 0.75
    assert 0.45 < gini(by_user) < 0.75
    assert by_film[:120].sum() > 0.33 * by_film.sum()
    assert np.median(by_user) < 0.65 * by_user.mean()


def test_ratings_are_half_stars_that_agree_with_what_else_people_do(demo):
    stars = {row[:2]: row[3] for row in demo[2] if row[2] == "rating"}
    values = np.array(list(stars.values()))
    assert set(values) <= {half / 2 for half in range(1, 11)}
    assert 3.2 < values.mean() < 3.7
    assert 0.85 < values.std() < 1.15
    liked = [stars[row[:2]] for row in demo[2] if row[2] == "like"]
    assert np.mean(liked) > values.mean() + 0.7
    watched = np.array([(row[3], stars[row[:2]]) for row in demo[2] if row[2] == "watch" and row[:2] in stars])
    assert np.corrcoef(watched.T)[0, 1] > 0.5
    assert ((watched[:, 0] > 0) & (watched[:, 0] <= 1)).all()


def test_films_are_met_after_their_release_and_most_when_they_are_new(demo):
    released = {item.id: item.released_at.timestamp() for item in demo[1]}
    ages = np.array([row[4] - released[row[1]] for row in demo[2] if row[2] != "bookmark"]) / 86_400
    assert ages.min() >= 0
    window = UNTIL.timestamp() - 2 * 365 * 86_400
    new = [row for row in demo[2] if released[row[1]] > window]
    first_half_year = sum(row[4] - released[row[1]] < 183 * 86_400 for row in new)
    exposure = sum(min(183 * 86_400, UNTIL.timestamp() - at) for at in released.values() if at > window)
    lifetime = sum(UNTIL.timestamp() - at for at in released.values() if at > window)
    assert first_half_year / exposure > 1.15 * len(new) / lifetime


def test_neighbours_and_genres_predict_better_than_popularity(demo):
    users, items, rows = demo
    cut = int(len(rows) * 0.85)
    history, later = history_matrix(users, items, rows[:cut]), history_matrix(users, items, rows[cut:])
    later[history > 0] = 0
    popular = np.tile(history.sum(axis=0), (len(users), 1))
    together = history.T @ history
    norms = np.sqrt(np.diag(together))
    likeness = together / (np.outer(norms, norms) + 20)
    np.fill_diagonal(likeness, 0)
    categories = sorted({name for item in items for name in item.categories})
    genres = np.array([[name in item.categories for name in categories] for item in items], dtype=float)
    share = (history @ genres + 1) / (history @ genres + 1).sum(axis=1, keepdims=True)
    by_genre = popular * ((share / share.mean(axis=0)) @ genres.T / genres.sum(axis=1))
    baseline = recall_at_10(popular, history, later)
    assert recall_at_10(history @ likeness, history, later) > 1.15 * baseline
    assert recall_at_10(by_genre, history, later) > 1.05 * baseline


@pytest.mark.parametrize("size", [(1, 10, 0), (1, 10, 2), (3, 10, 7), (600, 10, 1500), (10, 1000, 2500), (50, 3000, 20_001)])
def test_other_sizes_are_exact_too(size):
    users, items, rows = rows_of(DemoSize(*size))
    assert (len(users), len(items), len(rows)) == size
    assert len({item.title for item in items}) == len(items)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ({"users": 0}, "users must be at least 1, not 0"),
        ({"items": 9}, "items must be at least 10, not 9"),
        ({"interactions": -1}, "interactions must be at least 0, not -1"),
        ({"users": 10, "items": 10}, "10 users and 10 items have room for at most 25 interactions, not 60000"),
    ],
)
def test_impossible_sizes_are_refused_with_the_reason(size, reason):
    with pytest.raises(SizeImpossible, match=reason):
        DemoSize(**size)


def test_no_title_is_that_of_a_real_film(demo, movielens):
    with (movielens / "movies.csv").open(encoding="utf-8", newline="") as file:
        real = {row["title"].rsplit(" (", 1)[0].casefold() for row in csv.DictReader(file)}
    assert not [item.title for item in demo[1] if item.title.casefold() in real]


def test_rows_read_well(demo):
    user, item = demo[0][0], demo[1][0]
    assert isinstance(user, UserRow)
    assert isinstance(item, ItemRow)
    assert user.id == "demo-001"
    assert item.id == "film-0001"
    assert item.image_url is None
    assert all(film.description.startswith("In ") and film.description.endswith(".") for film in demo[1])
    assert all(set(person.preferred_categories) <= {name for film in demo[1] for name in film.categories} for person in demo[0])
