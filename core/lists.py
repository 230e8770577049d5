"""Stored recommendation lists as statements: written by workers, read by the app."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from core import binary
from core.entries import REASON_ITEMS, Entries
from core.messages import RecommendPayload
from core.narrowing import Narrowing
from core.shown import SHOWN, SHOWN_NARROWED, SPARE, StoredEntry, narrowed, stored_entries
from core.statement import Row, Statement, nothing
from core.topology import LISTS_CHANNEL


@dataclass(frozen=True, slots=True)
class ComputedList:
    """A list as a worker made it. `history_count` is the number of interactions it took into account.

    `read_at` is a moment of the database's clock before the history was read; without one the list counts as made when it is stored.
    """

    user_id: str
    list_id: uuid.UUID
    model_version_id: int | None
    entries: Entries
    is_cold: bool
    history_count: int
    read_at: datetime | None = None


# A list that knows more is never replaced by one that knows less: a shard of many users is read long before it is stored.
# Users are looked up one by one, that is what OFFSET 0 is for: a join would read all users for each shard of them.
_UPSERT: LiteralString = """
INSERT INTO recommendation_lists (user_id, list_id, model_version_id, item_numbers, scores, kinds, reason_items, reason_categories,
                                  is_cold, history_count, computed_at)
SELECT given.user_id, given.list_id, given.model_version_id, given.item_numbers::int4[], given.scores::float4[], given.kinds::int2[],
       given.reason_items::int4[], given.reason_categories::text[], given.is_cold, given.history_count,
       coalesce(given.read_at, clock_timestamp())
FROM {given}
CROSS JOIN LATERAL (SELECT FROM users WHERE users.id = given.user_id OFFSET 0) AS there
ORDER BY given.user_id
ON CONFLICT (user_id) DO UPDATE SET
    list_id = excluded.list_id, model_version_id = excluded.model_version_id, item_numbers = excluded.item_numbers,
    scores = excluded.scores, kinds = excluded.kinds, reason_items = excluded.reason_items,
    reason_categories = excluded.reason_categories, is_cold = excluded.is_cold, history_count = excluded.history_count,
    computed_at = excluded.computed_at
WHERE recommendation_lists.computed_at <= excluded.computed_at
"""
# Arrays of arrays would be taken apart to the last number: each list's arrays are given as text.
_WRITE: LiteralString = _UPSERT.replace(
    "{given}",
    """(SELECT user_id, list_id, model_version_id, item_numbers, scores, kinds, reason_items,
               ARRAY(SELECT jsonb_array_elements_text(categories)) AS reason_categories, is_cold, history_count, read_at
        FROM unnest(%(user_ids)s::text[], %(list_ids)s::uuid[], %(model_version_ids)s::bigint[], %(item_numbers)s::text[],
                    %(scores)s::text[], %(kinds)s::text[], %(reason_items)s::text[], %(reason_categories)s::jsonb[],
                    %(is_cold)s::boolean[], %(history_counts)s::integer[], %(times)s::timestamptz[])
             AS one (user_id, list_id, model_version_id, item_numbers, scores, kinds, reason_items, categories,
                     is_cold, history_count, read_at)) AS given""",
)


def write(lists: Sequence[ComputedList]) -> Statement[None]:
    """Store lists in place of older ones, in one order for all writers so that they cannot deadlock.

    The lists of users deleted meanwhile are dropped.
    """
    columns = [made.entries.columns() for made in lists]
    params: dict[str, Any] = {
        "user_ids": [made.user_id for made in lists],
        "list_ids": [made.list_id for made in lists],
        "model_version_ids": [made.model_version_id for made in lists],
        "reason_categories": [Jsonb(of_list["reason_categories"]) for of_list in columns],
        "is_cold": [made.is_cold for made in lists],
        "history_counts": [made.history_count for made in lists],
        "times": [made.read_at for made in lists],
    }
    for name in ("item_numbers", "scores", "kinds", "reason_items"):
        params[name] = ["{" + ",".join(map(str, of_list[name])) + "}" for of_list in columns]
    return Statement(_WRITE, params, nothing)


_STAGE = """
CREATE TEMPORARY TABLE staged_lists (user_id text, list_id uuid, model_version_id bigint, item_numbers int4[], scores float4[],
    kinds int2[], reason_items int4[], reason_categories text[], is_cold boolean, history_count integer, read_at timestamptz
) WITH (toast_tuple_target = 8160) ON COMMIT DROP -- rows that are there for a moment are not worth compressing
"""
# The limit says how many there are: nobody counted what a new table holds, and of very many the statement would be compiled first.
_STAGED: LiteralString = _UPSERT.replace("{given}", "(SELECT * FROM staged_lists LIMIT %(count)s) AS given")


def write_many(connection: Connection[Any], lists: Sequence[ComputedList]) -> None:
    """`write` for thousands: copied into a table of the transaction first, so that rows are locked for one quick statement only."""
    connection.execute(_STAGE)
    with connection.cursor() as cursor, cursor.copy("COPY staged_lists FROM STDIN (FORMAT binary)") as copy:
        parts = chain([binary.BEGIN], map(_as_row, lists), [binary.END])
        while some := b"".join(islice(parts, 64)):  # each writing waits for the server
            copy.write(some)
    connection.execute(_STAGED, {"count": len(lists)})


def _as_row(made: ComputedList) -> bytes:
    entries = made.entries
    return binary.row(
        made.user_id.encode(),
        made.list_id.bytes,
        binary.int8(made.model_version_id),
        binary.array(binary.INT4, entries.items, len(entries)),
        binary.array(binary.FLOAT4, entries.scores, len(entries)),
        binary.array(binary.INT2, entries.kinds, len(entries)),
        binary.array(binary.INT4, entries.reasons, REASON_ITEMS * len(entries)),
        binary.texts(entries.categories),
        binary.boolean(made.is_cold),
        binary.int4(made.history_count),
        binary.timestamp(made.read_at),
    )


# A notification holds 8,000 bytes, an id up to 128 and needs no escaping.
def notify_written(user_ids: Sequence[str]) -> Statement[None]:
    """Tell whoever follows the lists of these users, when the transaction commits."""
    groups = [",".join(user_ids[start : start + 60]) for start in range(0, len(user_ids), 60)]
    return Statement(
        "SELECT pg_notify(%(channel)s, message) FROM unnest(%(messages)s::text[]) AS message",
        {"channel": LISTS_CHANNEL, "messages": groups},
        nothing,
    )


@dataclass(frozen=True, slots=True)
class StoredList:
    """The stored list of a user; `list_id` is None as long as none was made.

    `task_id` is the refresh under way.
    """

    user_id: str
    list_id: uuid.UUID | None
    model_version_id: int | None
    algorithm: str | None
    computed_at: datetime | None
    is_cold: bool
    is_stale: bool
    task_id: uuid.UUID | None
    length: int | None
    entries: list[StoredEntry]

    def may_have_more(self, narrowing: Narrowing) -> bool:
        """Whether the part that was looked at fell short of what is asked for."""
        looked_at = narrowing.offset + narrowing.count + SPARE
        return len(self.entries) < narrowing.count and (self.length or 0) > looked_at


# One round trip for all of it. Each state of a task has its own partial index. What was met is read once: that is what OFFSET 0 is for.
_READ: LiteralString = """
SELECT users.id AS user_id, list_id, model_version_id, model_versions.algorithm, computed_at, is_cold,
       history_count IS DISTINCT FROM cardinality(told.met) AS is_stale, shown.*, cardinality(given.item_numbers) AS length,
       (SELECT id FROM tasks WHERE state = 'queued' AND kind = %(kind)s AND coalesce_key = users.id
        UNION ALL
        SELECT id FROM tasks WHERE state = 'running' AND kind = %(kind)s AND coalesce_key = users.id
        LIMIT 1) AS task_id
FROM users
CROSS JOIN LATERAL (
    SELECT ARRAY(SELECT item_id FROM interactions WHERE interactions.user_id = users.id) AS met OFFSET 0
) AS told
LEFT JOIN recommendation_lists ON recommendation_lists.user_id = users.id
LEFT JOIN model_versions ON model_versions.id = model_version_id
LEFT JOIN LATERAL (
    SELECT item_numbers, scores, recommendation_lists.kinds, reason_items, reason_categories, told.met
) AS given ON true
LEFT JOIN LATERAL ({shown}) AS shown ON true
WHERE users.id = %(user_id)s
"""
_READ_WIDE: LiteralString = _READ.replace("{shown}", SHOWN)
_READ_NARROW: LiteralString = _READ.replace("{shown}", SHOWN_NARROWED)


def read(user_id: str, *, narrowing: Narrowing, is_whole: bool = True) -> Statement[StoredList | None]:
    """Those entries of a user's stored list that are asked for; None if there is no such user.

    Unless the whole list is looked at there may be more: `StoredList.may_have_more`.
    """

    def read_rows(rows: list[Row]) -> StoredList | None:
        if not rows:
            return None
        row = rows[0]
        entries = stored_entries(row, narrowing)
        return StoredList(entries=entries, **{**row, "is_cold": bool(row["is_cold"])})

    sql = _READ_NARROW if narrowing.is_narrow else _READ_WIDE
    params = {**narrowed(narrowing, is_whole=is_whole), "user_id": user_id, "kind": RecommendPayload.kind}
    return Statement(sql, params, read_rows, binary=True)
