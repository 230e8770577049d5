"""Lists that are the same for everybody, from counts that a worker keeps: popular, trending, newest, and a stranger's first list."""

from typing import Any, Final, Literal, LiteralString, get_args

from core.entries import Source
from core.narrowing import Narrowing
from core.shown import WANTED, StoredEntry, narrowed
from core.statement import Row, Statement, nothing

Chart = Literal["popular", "trending", "newest"]
CHARTS: Final[tuple[Chart, ...]] = get_args(Chart)

HALF_LIFE_DAYS: Final = 7.0
"""After so long an event counts half for the trend; after eight times as long not at all."""

# The trend is measured at the latest event: a data set of years ago still has one. Dislikes and bad ratings recommend nothing.
# `date_part` counts in floating point, `extract` in numerics, which took a quarter longer in all.
_COUNT = """
WITH anchor AS (SELECT least(clock_timestamp(), max(occurred_at)) AS at FROM interactions),
told AS (
    SELECT item_id, count(*) AS interaction_count,
           coalesce(sum(power(0.5, date_part('epoch', anchor.at - occurred_at) / (86400 * %(half_life)s::float8)))
               FILTER (WHERE occurred_at > anchor.at - 8 * %(half_life)s::float8 * interval '1 day'), 0) AS velocity
    FROM interactions CROSS JOIN anchor
    WHERE type <> 'dislike' AND (type <> 'rating' OR value > 2.5)
    GROUP BY item_id
)
INSERT INTO item_stats (item_id, interaction_count, velocity)
SELECT items.id, coalesce(interaction_count, 0), coalesce(velocity, 0)
FROM items LEFT JOIN told ON told.item_id = items.id ORDER BY items.id
ON CONFLICT (item_id) DO UPDATE SET interaction_count = excluded.interaction_count, velocity = excluded.velocity
WHERE (item_stats.interaction_count, item_stats.velocity) IS DISTINCT FROM (excluded.interaction_count, excluded.velocity)
"""


def count_items() -> Statement[None]:
    """Count anew what everybody does with each item."""
    return Statement(_COUNT, {"half_life": HALF_LIFE_DAYS}, nothing)


_ENTRY: LiteralString = """
SELECT item.id AS item_id, title, categories, image_url, released_at, score, led_by AS reason_category
FROM (
    SELECT items.*, {score} AS score,
           (SELECT category FROM unnest(%(preferred)s::text[]) AS category WHERE category = ANY(items.categories) LIMIT 1) AS led_by
    FROM items LEFT JOIN item_stats ON item_stats.item_id = items.id
) AS item
WHERE NOT item.is_hidden AND {condition} AND """
_REST: LiteralString = """
      AND (%(user_id)s::text IS NULL OR %(include_seen)s OR NOT EXISTS (
              SELECT 1 FROM interactions WHERE interactions.user_id = %(user_id)s AND interactions.item_id = item.id))
ORDER BY (led_by IS NULL), score DESC, item.id OFFSET %(offset)s LIMIT %(count)s
"""
_RELEASED: LiteralString = "coalesce(item.released_at, item.created_at) <= clock_timestamp()"
"""What is announced but not released is not recommended as new."""
_SCORED: Final[dict[Chart, tuple[LiteralString, LiteralString]]] = {
    "popular": ("coalesce(interaction_count, 0)::float8", "true"),
    "trending": ("coalesce(velocity, 0)", "score > 0"),
    "newest": ("extract(epoch FROM coalesce(released_at, items.created_at))::float8", _RELEASED),
}
_SQL: Final[dict[Chart, LiteralString]] = {
    chart: _ENTRY.replace("{score}", score).replace("{condition}", condition) + WANTED + _REST
    for chart, (score, condition) in _SCORED.items()
}
_SOURCES: Final[dict[Chart, Source]] = {"popular": "popular", "trending": "trending", "newest": "new"}


def read(
    chart: Chart, *, narrowing: Narrowing, user_id: str | None = None, preferred: tuple[str, ...] = ()
) -> Statement[list[StoredEntry]]:
    """The first items of a chart, without those the user has met; those of the preferred categories lead."""
    source = _SOURCES[chart]

    def entry(row: Row) -> StoredEntry:
        led_by = row["reason_category"]
        told: dict[str, Any] = {"source": source, "reason": "category" if led_by else source, "reason_items": []}
        return StoredEntry(**row, **told)

    params = {**narrowed(narrowing), "user_id": user_id, "preferred": list(preferred)}
    return Statement(_SQL[chart], params, lambda rows: [entry(row) for row in rows])


def has_counts() -> Statement[bool]:
    """Whether the items were ever counted."""
    return Statement("SELECT EXISTS (SELECT 1 FROM item_stats) AS counted", {}, lambda rows: bool(rows[0]["counted"]))
