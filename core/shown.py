"""What is shown of a list: its entries as a request narrows them, with what the catalogue says of them, in SQL that all lists share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from core.entries import ReasonType, Source, meaning_of
from core.narrowing import Narrowing
from core.statement import Row, Statement


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
    reason: ReasonType
    reason_items: list[dict[str, str]]
    reason_category: str | None = None


WANTED: LiteralString = """(%(categories)s::text[] = '{}' OR CASE
              WHEN %(match_all)s THEN item.categories @> %(categories)s ELSE item.categories && %(categories)s END)
      AND (%(tags)s::text[] = '{}' OR item.tags && %(tags)s)
      AND (%(year_from)s::int IS NULL OR extract(year FROM item.released_at AT TIME ZONE 'UTC') >= %(year_from)s)
      AND (%(year_to)s::int IS NULL OR extract(year FROM item.released_at AT TIME ZONE 'UTC') <= %(year_to)s)
      AND item.id <> ALL(%(exclude)s::text[])"""
"""What a narrowing asks of an `item`."""


# Entries that are hidden, or that the user has met since, or that are not asked for, are left out here, so that a list is right
# the moment it is read and not only the moment it was made. The items of the places and those that reasons name are each looked up
# at once, by arrays, of which the planner expects few elements: of a join it expects hundreds, and would read the whole catalogue.
# What the user has met is read once. Nothing makes the plan depend on who is asked for: otherwise PostgreSQL plans every time,
# which takes as long as the rest.
SHOWN: LiteralString = (
    """
SELECT entries, (SELECT json_object_agg(number, json_build_array(id, title)) FROM items WHERE number = ANY (told)) AS named
FROM (
    SELECT array_agg(reasons) AS told, json_agg(json_build_array(item_id, title, categories, image_url, released_at, score, kind,
                                                                 reason_category, reasons) ORDER BY place) AS entries
    FROM (
        SELECT place, item.id AS item_id, title, categories, image_url, released_at,
               given.scores[place] AS score, given.kinds[place] AS kind,
               given.reason_items[3 * place - 2:3 * place] AS reasons,
               given.reason_categories[-given.reason_items[3 * place - 2]] AS reason_category
        FROM (SELECT *, array_position(given.item_numbers, number) AS place
              FROM items WHERE number = ANY (given.item_numbers[:%(reach)s]) AND NOT is_hidden OFFSET 0) AS item
        WHERE (%(include_seen)s OR item.id <> ALL (given.met))
          AND """
    + WANTED
    + """
        ORDER BY place OFFSET %(offset)s LIMIT %(count)s
    ) AS kept
) AS page
"""
)


SPARE: Final = 10
"""So many places more than are asked for are looked at first: of most lists only a few were met since."""


def narrowed(narrowing: Narrowing, *, is_whole: bool = True) -> dict[str, Any]:
    """The parameters of `SHOWN` and `WANTED`; unless the whole list is to be looked at, only as far as it will mostly do."""
    return {
        "reach": 1_000_000 if is_whole else narrowing.offset + narrowing.count + SPARE,
        "count": narrowing.count,
        "offset": narrowing.offset,
        "include_seen": narrowing.include_seen,
        "categories": list(narrowing.categories),
        "match_all": narrowing.match == "all",
        "tags": list(narrowing.tags),
        "year_from": narrowing.year_from,
        "year_to": narrowing.year_to,
        "exclude": list(narrowing.exclude),
    }


def stored_entries(row: Row) -> list[StoredEntry]:
    """The entries as `SHOWN` gives them, out of a row that has its columns."""
    named = row.pop("named") or {}
    return [_stored_entry(shown, named) for shown in row.pop("entries") or ()]


def _stored_entry(shown: Sequence[Any], named: Mapping[str, tuple[str, str]]) -> StoredEntry:
    item_id, title, categories, image_url, released_at, score, kind, reason_category, reasons = shown
    source, reason = meaning_of(kind)
    told = [named[str(number)] for number in reasons if str(number) in named]
    return StoredEntry(
        item_id=item_id,
        title=title,
        categories=categories,
        image_url=image_url,
        released_at=datetime.fromisoformat(released_at) if released_at else None,
        score=score,
        source=source,
        reason=reason,
        reason_items=[{"item_id": of_item, "title": its_title} for of_item, its_title in told],
        reason_category=reason_category,
    )


# A list that is stored nowhere: a worker's answer to a request.
_SHOW: LiteralString = (
    """
SELECT shown.entries, shown.named,
       (SELECT algorithm FROM model_versions WHERE id = %(model_version_id)s) AS algorithm
FROM (SELECT %(item_numbers)s::int4[] AS item_numbers, %(scores)s::float4[] AS scores, %(kinds)s::int2[] AS kinds,
             %(reason_items)s::int4[] AS reason_items, %(reason_categories)s::text[] AS reason_categories,
             ARRAY(SELECT item_id FROM interactions WHERE interactions.user_id = %(user_id)s::text) AS met) AS given
LEFT JOIN LATERAL ("""
    + SHOWN
    + ") AS shown ON true"
)


def show(
    columns: Mapping[str, list[Any]], *, model_version_id: int | None, user_id: str | None, narrowing: Narrowing
) -> Statement[tuple[list[StoredEntry], str | None]]:
    """Entries (`Entries.columns`) as they are shown, without those that are hidden or that the user met meanwhile; and the algorithm."""
    params = {**columns, **narrowed(narrowing), "offset": 0, "user_id": user_id, "model_version_id": model_version_id}
    return Statement(_SHOW, params, lambda rows: (stored_entries(rows[0]), rows[0]["algorithm"]))
