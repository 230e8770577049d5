"""Recording interactions on a real server."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from core import interactions
from core.interactions import DEFAULT_VALUES, VALUE_RANGES

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def ada_and_a_film(connection):
    connection.execute("INSERT INTO users (id) VALUES ('ada')")
    connection.execute("INSERT INTO items (id, title) VALUES ('film', 'A Film')")


def test_an_event_is_one_row_with_the_latest_value(connection):
    first = interactions.record(user_id="ada", item_id="film", type="rating", value=2.0, occurred_at=AT).run(connection)
    second = interactions.record(user_id="ada", item_id="film", type="rating", value=4.0, occurred_at=AT).run(connection)
    assert (second.id, second.value, second.created_at) == (first.id, 4.0, first.created_at)
    other = interactions.record(user_id="ada", item_id="film", type="like", value=1.0, occurred_at=AT).run(connection)
    assert other.id != first.id


def test_without_a_time_it_is_the_time_of_the_database(connection):
    recorded = interactions.record(user_id="ada", item_id="film", type="view", value=1.0).run(connection)
    (now,) = connection.execute("SELECT clock_timestamp()").fetchone()
    assert timedelta(0) <= now - recorded.occurred_at < timedelta(seconds=10)


@pytest.mark.parametrize(("ids", "constraint"), [(("x", "film"), "fk_interactions_user_id"), (("ada", "x"), "fk_interactions_item_id")])
def test_an_unknown_id_violates_the_key_of_its_column(connection, ids, constraint):
    with pytest.raises(psycopg.errors.ForeignKeyViolation) as refused:
        interactions.record(user_id=ids[0], item_id=ids[1], type="view", value=1.0).run(connection)
    assert refused.value.diag.constraint_name == constraint


def test_defaults_are_within_their_ranges(connection):
    for name, value in DEFAULT_VALUES.items():
        least, greatest = VALUE_RANGES[name]
        assert least <= value <= greatest
    assert VALUE_RANGES.keys() - DEFAULT_VALUES.keys() == {"rating"}
