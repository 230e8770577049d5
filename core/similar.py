"""The stored lists of similar items as statements: one for an item, made when it is first asked for with a model."""

import uuid
from dataclasses import dataclass
from typing import LiteralString

from core.lists import ComputedList
from core.narrowing import Narrowing
from core.shown import SHOWN, SHOWN_NARROWED, StoredEntry, narrowed, stored_entries
from core.statement import Row, Statement, nothing

_WRITE = """
INSERT INTO similar_items (item_id, list_id, model_version_id, item_numbers, scores, kinds, reason_items, reason_categories, computed_at)
SELECT id, %(list_id)s, %(model_version_id)s, %(item_numbers)s::int4[], %(scores)s::float4[], %(kinds)s::int2[],
       %(reason_items)s::int4[], %(reason_categories)s::text[], clock_timestamp()
FROM items WHERE id = %(item_id)s
ON CONFLICT (item_id) DO UPDATE SET
    list_id = excluded.list_id, model_version_id = excluded.model_version_id, item_numbers = excluded.item_numbers,
    scores = excluded.scores, kinds = excluded.kinds, reason_items = excluded.reason_items,
    reason_categories = excluded.reason_categories, computed_at = excluded.computed_at
"""


def write(item_id: str, made: ComputedList) -> Statement[None]:
    """Store what is similar to an item in place of what was."""
    params = {"item_id": item_id, "list_id": made.list_id, "model_version_id": made.model_version_id, **made.entries.columns()}
    return Statement(_WRITE, params, nothing)


@dataclass(frozen=True, slots=True)
class StoredSimilar:
    """What is known of the items similar to one: `list_id` is None, and there are no entries, where the live model has not said yet."""

    item_id: str
    categories: list[str]
    list_id: uuid.UUID | None
    model_version_id: int | None
    algorithm: str | None
    entries: list[StoredEntry]


_READ: LiteralString = """
SELECT items.id AS item_id, items.categories, list_id, model_version_id, algorithm, shown.*
FROM items
LEFT JOIN (
    SELECT similar_items.*, algorithm FROM similar_items JOIN model_versions ON model_versions.id = model_version_id AND status = 'live'
) AS said ON said.item_id = items.id
LEFT JOIN LATERAL (
    SELECT said.item_numbers, said.scores, said.kinds, said.reason_items, said.reason_categories,
           ARRAY(SELECT interactions.item_id FROM interactions WHERE interactions.user_id = %(user_id)s::text) AS met
) AS given ON true
LEFT JOIN LATERAL ({shown}) AS shown ON true
WHERE items.id = %(item_id)s AND NOT items.is_hidden
"""
_READ_WIDE: LiteralString = _READ.replace("{shown}", SHOWN)
_READ_NARROW: LiteralString = _READ.replace("{shown}", SHOWN_NARROWED)


def read(item_id: str, *, narrowing: Narrowing, user_id: str | None = None) -> Statement[StoredSimilar | None]:
    """What is similar to an item, without what the user has met; None if there is no such item."""

    def read_rows(rows: list[Row]) -> StoredSimilar | None:
        if not rows:
            return None
        row = rows[0]
        entries = stored_entries(row, narrowing)
        return StoredSimilar(**row, entries=entries)

    sql = _READ_NARROW if narrowing.is_narrow else _READ_WIDE
    return Statement(sql, {**narrowed(narrowing), "item_id": item_id, "user_id": user_id}, read_rows, binary=True)
