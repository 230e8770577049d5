"""Writes a data set into PostgreSQL by COPY and set-based upserts, chunk by chunk and all in one transaction."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import Connection
from psycopg.types.json import Jsonb

from datasets.rows import Dataset, InteractionRow, ItemRow, UserRow

T = TypeVar("T")

ENTITY_CHUNK_ROWS = 5_000


@dataclass(slots=True)
class Written:
    """What became of the rows of one table; `unchanged` ones were there already, or twice in the source."""

    read: int = 0
    added: int = 0
    changed: int = 0

    @property
    def unchanged(self) -> int:
        """Rows that said nothing new."""
        return self.read - self.added - self.changed


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load wrote, table by table."""

    users: Written
    items: Written
    interactions: Written


_STAGING: LiteralString = """
CREATE TEMPORARY TABLE staged_users (id text, name text, preferred_categories text[], attributes jsonb) ON COMMIT DROP;
CREATE TEMPORARY TABLE staged_items (
    id text, title text, categories text[], tags text[], released_at timestamptz,
    image_url text, description text, attributes jsonb
) ON COMMIT DROP;
CREATE TEMPORARY TABLE staged_interactions (
    user_id text, item_id text, type text, value float8, occurred_at timestamptz, place bigint GENERATED ALWAYS AS IDENTITY
) ON COMMIT DROP;
"""

# So that a caller's transaction can load twice.
_UNSTAGING: LiteralString = "DROP TABLE staged_users, staged_items, staged_interactions"

# `xmax = 0` tells an inserted row from an updated one (https://www.postgresql.org/docs/current/ddl-system-columns.html).
_WRITE_USERS: LiteralString = """
WITH written AS (
    INSERT INTO users (id, name, preferred_categories, attributes)
    SELECT DISTINCT ON (id) id, name, preferred_categories, attributes FROM staged_users ORDER BY id
    ON CONFLICT (id) DO UPDATE SET
        name = coalesce(excluded.name, users.name),
        preferred_categories = coalesce(nullif(excluded.preferred_categories, '{}'), users.preferred_categories),
        attributes = users.attributes || excluded.attributes
    WHERE (users.name, users.preferred_categories, users.attributes) IS DISTINCT FROM (
        coalesce(excluded.name, users.name),
        coalesce(nullif(excluded.preferred_categories, '{}'), users.preferred_categories),
        users.attributes || excluded.attributes
    )
    RETURNING xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
"""

_WRITE_ITEMS: LiteralString = """
WITH written AS (
    INSERT INTO items (id, title, categories, tags, released_at, image_url, description, attributes)
    SELECT DISTINCT ON (id) id, title, categories, tags, released_at, image_url, description, attributes FROM staged_items ORDER BY id
    ON CONFLICT (id) DO UPDATE SET
        title = excluded.title,
        categories = coalesce(nullif(excluded.categories, '{}'), items.categories),
        tags = coalesce(nullif(excluded.tags, '{}'), items.tags),
        released_at = coalesce(excluded.released_at, items.released_at),
        image_url = coalesce(excluded.image_url, items.image_url),
        description = coalesce(excluded.description, items.description),
        attributes = items.attributes || excluded.attributes
    WHERE (items.title, items.categories, items.tags, items.released_at, items.image_url, items.description, items.attributes)
    IS DISTINCT FROM (
        excluded.title,
        coalesce(nullif(excluded.categories, '{}'), items.categories),
        coalesce(nullif(excluded.tags, '{}'), items.tags),
        coalesce(excluded.released_at, items.released_at),
        coalesce(excluded.image_url, items.image_url),
        coalesce(excluded.description, items.description),
        items.attributes || excluded.attributes
    )
    RETURNING xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
"""

_ADD_MISSING_USERS: LiteralString = """
INSERT INTO users (id) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING
"""

# In the order of the unique index, so that its pages are touched one after the other.
_WRITE_INTERACTIONS: LiteralString = """
WITH written AS (
    INSERT INTO interactions (user_id, item_id, type, value, occurred_at)
    SELECT DISTINCT ON (user_id, occurred_at, item_id, type) user_id, item_id, type, value, occurred_at
    FROM staged_interactions
    ORDER BY user_id, occurred_at, item_id, type, place DESC
    ON CONFLICT (user_id, occurred_at, item_id, type) DO UPDATE SET value = excluded.value
    WHERE interactions.value <> excluded.value
    RETURNING xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
"""


def load(connection: Connection[Any], dataset: Dataset) -> Loaded:
    """Write the whole data set, or nothing if anything fails; loading the same data again adds nothing.

    Runs in a transaction of its own, or inside the caller's if one is open. The memory needed is that of one chunk:
    each chunk is its own statement, because the checks of foreign keys are queued in memory until a statement ends.
    """
    loaded = Loaded(Written(), Written(), Written())
    with connection.transaction():
        connection.execute(_STAGING)
        listed = _write_users(connection, dataset.users(), loaded.users)
        _write_items(connection, dataset.items(), loaded.items)
        _write_interactions(connection, dataset, loaded, listed)
        connection.execute(_UNSTAGING)
        # The first questions come at once, and the planner should know what it has before autovacuum looks.
        connection.execute("ANALYZE users, items, interactions")
    return loaded


def _write_users(connection: Connection[Any], rows: Iterable[UserRow], written: Written) -> set[str]:
    """Returns the ids of the users that were written."""
    listed: set[str] = set()
    for chunk in chunks(rows, ENTITY_CHUNK_ROWS):
        with connection.cursor().copy("COPY staged_users (id, name, preferred_categories, attributes) FROM STDIN") as copy:
            for row in chunk:
                copy.write_row((row.id, row.name, list(row.preferred_categories), Jsonb(dict(row.attributes))))
        _upsert(connection, _WRITE_USERS, written, len(chunk))
        connection.execute("TRUNCATE staged_users")
        listed.update(row.id for row in chunk)
    return listed


def _write_items(connection: Connection[Any], rows: Iterable[ItemRow], written: Written) -> None:
    columns: LiteralString = "id, title, categories, tags, released_at, image_url, description, attributes"
    for chunk in chunks(rows, ENTITY_CHUNK_ROWS):
        with connection.cursor().copy(f"COPY staged_items ({columns}) FROM STDIN") as copy:
            for row in chunk:
                lists = (list(row.categories), list(row.tags))
                copy.write_row((row.id, row.title, *lists, row.released_at, row.image_url, row.description, Jsonb(dict(row.attributes))))
        _upsert(connection, _WRITE_ITEMS, written, len(chunk))
        connection.execute("TRUNCATE staged_items")


def _write_interactions(connection: Connection[Any], dataset: Dataset, loaded: Loaded, listed: set[str]) -> None:
    """By COPY as long as every event is new, which most imports are to their end; from the first known one on by upserts."""
    all_new = True
    for chunk in dataset.interactions():
        strangers = {row[0] for row in chunk} - listed
        if strangers:
            loaded.users.read += len(strangers)
            loaded.users.added += connection.execute(_ADD_MISSING_USERS, [sorted(strangers)]).rowcount
            listed |= strangers
        all_new = all_new and _copy_new(connection, chunk)
        if all_new:
            loaded.interactions.read += len(chunk)
            loaded.interactions.added += len(chunk)
        else:
            _copy_interactions(connection, "staged_interactions", chunk)
            _upsert(connection, _WRITE_INTERACTIONS, loaded.interactions, len(chunk))
            connection.execute("TRUNCATE staged_interactions")


def _copy_new(connection: Connection[Any], chunk: Sequence[InteractionRow]) -> bool:
    """Write the chunk straight into the table; False, and nothing written, if one of its events is there already."""
    try:
        with connection.transaction():
            _copy_interactions(connection, "interactions", chunk)
    except psycopg.errors.UniqueViolation:
        return False
    return True


def _copy_interactions(connection: Connection[Any], table: LiteralString, chunk: Sequence[InteractionRow]) -> None:
    moment = datetime.fromtimestamp
    columns: LiteralString = "user_id, item_id, type, value, occurred_at"
    # In binary, because the text of a time costs four times the rest of the row.
    with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["text", "text", "text", "float8", "timestamptz"])
        for user, item, kind, value, seconds in chunk:
            copy.write_row((user, item, kind, value, moment(seconds, UTC)))


def _upsert(connection: Connection[Any], sql: LiteralString, written: Written, read: int) -> None:
    row = connection.execute(sql).fetchone()
    assert row is not None
    written.read += read
    written.added += row[0]
    written.changed += row[1]


def chunks(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
