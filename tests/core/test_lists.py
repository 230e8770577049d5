"""Storing lists: one by one and by the thousand, never one that knows less over one that knows more."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from core import lists
from core.narrowing import Narrowing
from tests.rigs.lists import Entry, Reason, packed, stored

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WHOLE = Narrowing(count=100)
ODD = 'm"1\\ф☃'
TOLD = [
    Entry(ODD, 1.5, "personal", Reason("because_you_watched", ("m2", ODD))),
    Entry("m2", 0.25, "personal", Reason("category", category='Drama, "fine"')),
    Entry("m3", -2.0, "personal", Reason("category", category="Ψ")),
    Entry("m4", -3.0, "new", Reason("new")),
    Entry("m5", -4.0, "popular", Reason("popular")),
    Entry("m6", -5.0, "personal", Reason("category", category="Ψ")),
]


@pytest.fixture
def made(connection):
    def run(user_id, told=TOLD, *, read_at=None):
        return lists.ComputedList(user_id, uuid.uuid4(), None, packed(connection, told), is_cold=False, history_count=3, read_at=read_at)

    connection.execute("INSERT INTO items (id, title) VALUES (%s, 'Odd')", (ODD,))
    connection.execute("INSERT INTO items (id, title) SELECT 'm' || n, 'Film ' || n FROM generate_series(2, 6) n")
    return run


@pytest.fixture(params=["few", "many"])
def write(connection, request):
    def run(*computed):
        with connection.transaction():
            if request.param == "few":
                lists.write(computed).run(connection)
            else:
                lists.write_many(connection, computed)

    connection.execute("INSERT INTO users (id) SELECT 'u' || n FROM generate_series(1, 3) n")
    connection.execute("INSERT INTO users (id) VALUES ('ю\"\\')")
    return run


def list_ids(connection):
    return dict(connection.execute("SELECT user_id, list_id FROM recommendation_lists").fetchall())


def test_lists_are_stored_and_those_of_users_who_are_gone_are_not(connection, write, made):
    first, second, gone = made("u1"), made('ю"\\'), made("nobody")
    write(second, gone, first)
    assert list_ids(connection) == {"u1": first.list_id, 'ю"\\': second.list_id}
    assert stored(connection, "u1") == stored(connection, 'ю"\\') == TOLD
    is_cold, count, computed_at = connection.execute(
        "SELECT is_cold, history_count, computed_at FROM recommendation_lists WHERE user_id = 'u1'"
    ).fetchone()
    assert (is_cold, count) == (False, 3)
    assert computed_at is not None


def test_what_is_read_is_what_was_stored(connection, write, made):
    write(made("u1"))
    shown = lists.read("u1", narrowing=WHOLE).run(connection)
    assert shown.length == len(TOLD)
    assert [(entry.item_id, entry.score, entry.source, entry.reason, entry.reason_category) for entry in shown.entries] == [
        (entry.item_id, entry.score, entry.source, entry.reason.type, entry.reason.category) for entry in TOLD
    ]
    assert [entry.reason_items for entry in shown.entries] == [
        [{"id": "m2", "title": "Film 2"}, {"id": ODD, "title": "Odd"}], [], [], [], [], []
    ]  # fmt: skip


def test_what_the_catalogue_says_is_told_as_it_is(connection, write, made):
    names, released = ["Drama, {fine}", 'a "b"', "\\", "ф☃", "null"], datetime(1999, 12, 31, 23, 59, 59, 123456, tzinfo=UTC)
    connection.execute(
        "UPDATE items SET categories = %s, image_url = 'https://x/1.png', released_at = %s WHERE id = 'm2'", (names, released)
    )
    write(made("u1", [Entry("m2", 1 / 3, "personal", Reason("popular")), Entry("m3", 1e-7, "personal", Reason("popular"))]))
    first, second = lists.read("u1", narrowing=WHOLE).run(connection).entries
    assert (first.title, first.categories, first.image_url, first.released_at) == ("Film 2", names, "https://x/1.png", released)
    assert (second.categories, second.image_url, second.released_at) == ([], None, None)
    assert (first.score, second.score) == (0.33333334, 1e-7), "no more digits than a short number has"


def test_items_deleted_meanwhile_are_gone_from_places_and_reasons(connection, write, made):
    write(made("u1"))
    connection.execute("DELETE FROM items WHERE id IN ('m2', 'm4')")
    shown = lists.read("u1", narrowing=WHOLE).run(connection)
    assert [entry.item_id for entry in shown.entries] == [ODD, "m3", "m5", "m6"]
    assert [named["id"] for named in shown.entries[0].reason_items] == [ODD]
    connection.execute("INSERT INTO items (id, title) VALUES ('m2', 'Another of the same id')")
    assert len(lists.read("u1", narrowing=WHOLE).run(connection).entries) == 4, "the new one is not what the list was made of"


def test_an_empty_list_is_a_list(connection, write, made):
    write(made("u2", []), made("u1"))
    shown = lists.read("u2", narrowing=WHOLE).run(connection)
    assert (shown.list_id is not None, shown.length, shown.entries) == (True, 0, [])


def test_a_long_list_is_stored_whole(connection, write, made):
    many = [Entry("m2", float(place), "personal", Reason("because_you_watched", ("m3", "m4", "m5"))) for place in range(1000)]
    write(made("u1", many))
    assert stored(connection, "u1") == many


def test_a_list_that_knows_more_stays(connection, write, made):
    late, early = made("u1", read_at=NOON), made("u1", read_at=NOON - timedelta(seconds=1))
    write(late)
    write(early)
    assert list_ids(connection) == {"u1": late.list_id}
    assert connection.execute("SELECT computed_at FROM recommendation_lists").fetchone() == (NOON,)
    later = made("u1", read_at=NOON + timedelta(microseconds=1))
    write(later)
    assert list_ids(connection) == {"u1": later.list_id}
