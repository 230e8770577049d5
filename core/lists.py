"""Stored recommendation lists as statements: written by workers, read by the app."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.types.json import Jsonb

from core.statement import Row, Statement

Source = Literal["personal", "popular"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an entry is in a list. `item_ids` are the items of the history that speak for it, strongest first."""

    type: Literal["because_you_watched", "popular"]
    item_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of a list: the score is comparable within the list only."""

    item_id: str
    score: float
    source: Source
    reason: Reason


@dataclass(frozen=True, slots=True)
class ComputedList:
    """A list as a worker made it. `history_count` is the number of interactions it took into account."""

    user_id: str
    list_id: uuid.UUID
    model_version_id: int | None
    entries: tuple[Entry, ...]
    is_cold: bool
    history_count: int


_WRITE = """
INSERT INTO recommendation_lists (user_id, list_id, model_version_id, entries, is_cold, history_count, computed_at)
SELECT given.*, clock_timestamp()
FROM unnest(%(user_ids)s::text[], %(list_ids)s::uuid[], %(model_version_ids)s::bigint[], %(entries)s::jsonb[],
            %(is_cold)s::boolean[], %(history_counts)s::integer[])
                AS given (user_id, list_id, model_version_id, entries, is_cold, history_count)
JOIN users ON users.id = given.user_id
ORDER BY given.user_id
ON CONFLICT (user_id) DO UPDATE SET
    list_id = excluded.list_id, model_version_id = excluded.model_version_id, entries = excluded.entries,
    is_cold = excluded.is_cold, history_count = excluded.history_count, computed_at = excluded.computed_at
"""


def _document(entry: Entry) -> dict[str, Any]:
    return {
        "item_id": entry.item_id,
        "score": round(entry.score, 6),
        "source": entry.source,
        "reason": {"type": entry.reason.type, "item_ids": list(entry.reason.item_ids)},
    }


def write(lists: Sequence[ComputedList]) -> Statement[None]:
    """Store lists in place of older ones, in one order for all writers so that they cannot deadlock.

    The lists of users deleted meanwhile are dropped.
    """
    params = {
        "user_ids": [made.user_id for made in lists],
        "list_ids": [made.list_id for made in lists],
        "model_version_ids": [made.model_version_id for made in lists],
        "entries": [Jsonb([_document(entry) for entry in made.entries]) for made in lists],
        "is_cold": [made.is_cold for made in lists],
        "history_counts": [made.history_count for made in lists],
    }
    return Statement(_WRITE, params, lambda _rows: None)


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it is shown: with what the catalogue says of the item and the titles its reason names."""

    item_id: str
    title: str
    categories: list[str]
    image_url: str | None
    released_at: datetime | None
    score: float
    source: Source
    reason: Literal["because_you_watched", "popular"]
    reason_items: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class StoredList:
    """The stored list of a user; `list_id` is None as long as none was made."""

    user_id: str
    list_id: uuid.UUID | None
    model_version_id: int | None
    algorithm: str | None
    computed_at: datetime | None
    is_cold: bool
    is_stale: bool
    entries: list[StoredEntry]


# One round trip for all of it. Entries that were hidden or that the user has met since are left out here,
# so that a list is right the moment it is read and not only the moment it was made. Titles are looked up one by one:
# the planner expects 100 reasons where there are three, and would read the whole catalogue for every entry instead.
_READ = """
SELECT users.id AS user_id, list_id, model_version_id, model_versions.algorithm, computed_at, is_cold,
       history_count IS DISTINCT FROM (SELECT count(*) FROM interactions WHERE user_id = users.id) AS is_stale,
       coalesce(shown.entries, '[]'::jsonb) AS entries
FROM users
LEFT JOIN recommendation_lists ON recommendation_lists.user_id = users.id
LEFT JOIN model_versions ON model_versions.id = model_version_id
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
               'item_id', items.id, 'title', items.title, 'categories', to_jsonb(items.categories), 'image_url', items.image_url,
               'released_at', items.released_at, 'score', entry -> 'score', 'source', entry -> 'source',
               'reason', entry -> 'reason' -> 'type',
               'reason_items', (
                   SELECT coalesce(jsonb_agg(jsonb_build_object('item_id', named.id, 'title', named.title) ORDER BY nth), '[]'::jsonb)
                   FROM jsonb_array_elements_text(entry -> 'reason' -> 'item_ids') WITH ORDINALITY AS told (id, nth)
                   CROSS JOIN LATERAL (SELECT id, title FROM items WHERE items.id = told.id LIMIT 1) AS named)
           ) ORDER BY place) AS entries
    FROM (
        SELECT entry, place FROM jsonb_array_elements(recommendation_lists.entries) WITH ORDINALITY AS stored (entry, place)
        WHERE NOT EXISTS (SELECT 1 FROM interactions WHERE interactions.user_id = users.id AND interactions.item_id = entry ->> 'item_id')
          AND EXISTS (SELECT 1 FROM items WHERE items.id = entry ->> 'item_id' AND NOT items.is_hidden)
        ORDER BY place LIMIT %(count)s
    ) AS kept
    JOIN items ON items.id = entry ->> 'item_id'
) AS shown ON true
WHERE users.id = %(user_id)s
"""


def _stored_entry(entry: Row) -> StoredEntry:
    released_at = entry.pop("released_at")
    return StoredEntry(released_at=datetime.fromisoformat(released_at) if released_at else None, **entry)


def read(user_id: str, *, count: int) -> Statement[StoredList | None]:
    """The first `count` entries of a user's stored list; None if there is no such user."""

    def read_rows(rows: list[Row]) -> StoredList | None:
        if not rows:
            return None
        row = rows[0]
        entries = [_stored_entry(entry) for entry in row.pop("entries")]
        return StoredList(entries=entries, **{**row, "is_cold": bool(row["is_cold"])})

    return Statement(_READ, {"user_id": user_id, "count": count}, read_rows)
