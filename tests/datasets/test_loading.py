"""Loading adds what is new, changes what differs, and leaves nothing behind when anything fails."""

from datetime import UTC, datetime

import psycopg
import pytest

from datasets.generator import DemoSize, generate
from datasets.loading import Written, load
from datasets.rows import ItemRow, UserRow


class Given:
    """A data set that a test writes down; `chunks` are more interactions, each a chunk of its own."""

    def __init__(self, *, users=(), items=(), interactions=(), chunks=()):
        self._users, self._items, self._chunks = users, items, (interactions, *chunks)

    def users(self):
        yield from self._users

    def items(self):
        yield from self._items

    def interactions(self):
        yield from map(list, self._chunks)


FILM = ItemRow("7", "Veldmoor", ("Drama",), ("bleak",), datetime(1999, 5, 1, tzinfo=UTC), None, "Plot.", {"imdb_id": "tt7"})
EVENT = ("ann", "7", "rating", 4.5, 1_000_000_000)


def count(connection, table):
    return connection.execute(psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(table))).fetchone()[0]


def test_every_column_arrives(connection):
    loaded = load(connection, Given(users=[UserRow("ann", "Ann", ("Drama",), {"age": 31})], items=[FILM], interactions=[EVENT]))
    assert (loaded.users, loaded.items, loaded.interactions) == (Written(1, 1, 0), Written(1, 1, 0), Written(1, 1, 0))
    assert connection.execute("SELECT id, name, preferred_categories, attributes FROM users").fetchone() == (
        "ann", "Ann", ["Drama"], {"age": 31},
    )  # fmt: skip
    assert connection.execute(
        "SELECT id, title, categories, tags, released_at, image_url, description, attributes, is_hidden FROM items"
    ).fetchone() == ("7", "Veldmoor", ["Drama"], ["bleak"], FILM.released_at, None, "Plot.", {"imdb_id": "tt7"}, False)
    assert connection.execute("SELECT user_id, item_id, type, value, extract(epoch FROM occurred_at) FROM interactions").fetchone() == EVENT


def test_users_that_only_interactions_name_are_made(connection):
    loaded = load(connection, Given(items=[FILM], interactions=[EVENT, ("bob", "7", "like", 1.0, 5)]))
    assert loaded.users == Written(2, 2, 0)
    assert connection.execute("SELECT id FROM users ORDER BY id").fetchall() == [("ann",), ("bob",)]


def test_loading_twice_adds_nothing(connection):
    first = load(connection, generate(DemoSize(50, 100, 1000), seed=1, until=datetime(2026, 1, 1, tzinfo=UTC)))
    assert first.interactions == Written(1000, 1000, 0)
    again = load(connection, generate(DemoSize(50, 100, 1000), seed=1, until=datetime(2026, 1, 1, tzinfo=UTC)))
    assert (again.users, again.items, again.interactions) == (Written(50), Written(100), Written(1000))
    assert again.interactions.unchanged == 1000
    assert count(connection, "interactions") == 1000


def test_what_differs_is_changed_and_what_the_source_does_not_know_stays(connection):
    load(connection, Given(users=[UserRow("ann", "Ann", ("Drama",), {"age": 31})], items=[FILM], interactions=[EVENT]))
    known_less = ItemRow("7", "Veldmoor (restored)", attributes={"tmdb_id": 8})
    loaded = load(connection, Given(users=[UserRow("ann")], items=[known_less], interactions=[(*EVENT[:3], 2.0, EVENT[4])]))
    assert (loaded.users, loaded.items, loaded.interactions) == (Written(1), Written(1, 0, 1), Written(1, 0, 1))
    assert connection.execute("SELECT title, categories, tags, released_at, description, attributes FROM items").fetchone() == (
        "Veldmoor (restored)", ["Drama"], ["bleak"], FILM.released_at, "Plot.", {"imdb_id": "tt7", "tmdb_id": 8},
    )  # fmt: skip
    assert connection.execute("SELECT name, preferred_categories, attributes FROM users").fetchone() == ("Ann", ["Drama"], {"age": 31})
    assert connection.execute("SELECT value FROM interactions").fetchall() == [(2.0,)]


def test_of_the_same_event_twice_in_a_chunk_the_last_counts(connection):
    loaded = load(connection, Given(items=[FILM], interactions=[EVENT, (*EVENT[:3], 1.5, EVENT[4])]))
    assert loaded.interactions == Written(2, 1, 0)
    assert connection.execute("SELECT value FROM interactions").fetchall() == [(1.5,)]


def test_what_is_new_beside_what_is_known_is_added_in_every_chunk(connection):
    load(connection, Given(items=[FILM], interactions=[EVENT]))
    chunks = [
        [("bob", "7", "like", 1.0, 1)],
        [("bob", "7", "like", 1.0, 2), (*EVENT[:3], 3.0, EVENT[4])],
        [("eve", "7", "like", 1.0, 3), EVENT],
    ]
    loaded = load(connection, Given(items=[FILM], chunks=chunks))
    assert loaded.interactions == Written(5, 3, 2)
    assert loaded.users == Written(3, 2, 0)
    assert connection.execute("SELECT user_id, value FROM interactions ORDER BY id").fetchall() == [
        ("ann", 4.5), ("bob", 1.0), ("bob", 1.0), ("eve", 1.0),
    ]  # fmt: skip


def test_a_failure_in_the_last_chunk_leaves_nothing(connection):
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        load(connection, Given(users=[UserRow("eve")], items=[FILM], interactions=[EVENT, ("ann", "unlisted", "like", 1.0, 5)]))
    assert [count(connection, table) for table in ("users", "items", "interactions")] == [0, 0, 0]
    assert load(connection, Given(items=[FILM], interactions=[EVENT])).interactions.added == 1


def test_two_loads_fit_into_a_callers_transaction(connection):
    with connection.transaction():
        load(connection, Given(items=[FILM]))
        load(connection, Given(items=[FILM], interactions=[EVENT]))
        raise psycopg.Rollback
    assert count(connection, "items") == 0
