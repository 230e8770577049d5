"""Storing lists: one by one and by the thousand, never one that knows less over one that knows more."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from core import lists

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def made(user_id, *, read_at=None):
    entries = (lists.Entry('m"1\\', 1.0, "personal", lists.Reason("because_you_watched", ("m2",))),)
    return lists.ComputedList(user_id, uuid.uuid4(), None, entries, is_cold=False, history_count=3, read_at=read_at)


@pytest.fixture(params=["few", "many"])
def write(connection, request):
    def run(*computed):
        with connection.transaction():
            if request.param == "few":
                lists.write(computed).run(connection)
            else:
                lists.write_many(connection, computed)

    connection.execute("INSERT INTO users (id) SELECT 'u' || n FROM generate_series(1, 3) n")
    return run


def stored(connection):
    return dict(connection.execute("SELECT user_id, list_id FROM recommendation_lists").fetchall())


def test_lists_are_stored_and_those_of_users_who_are_gone_are_not(connection, write):
    first, second, gone = made("u1"), made("u2"), made("nobody")
    write(second, gone, first)
    assert stored(connection) == {"u1": first.list_id, "u2": second.list_id}
    entries, computed_at = connection.execute("SELECT entries, computed_at FROM recommendation_lists WHERE user_id = 'u1'").fetchone()
    assert entries == [lists.document(first.entries[0])]
    assert computed_at is not None


def test_a_list_that_knows_more_stays(connection, write):
    late, early = made("u1", read_at=NOON), made("u1", read_at=NOON - timedelta(seconds=1))
    write(late)
    write(early)
    assert stored(connection) == {"u1": late.list_id}
    later = made("u1", read_at=NOON + timedelta(seconds=1))
    write(later)
    assert stored(connection) == {"u1": later.list_id}
