"""What is shown of a list: its entries as a request narrows them, with what the catalogue says of them, in SQL that all lists share."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple

from core.entries import REASON_ITEMS, ReasonType, Source, meaning_of
from core.narrowing import Narrowing
from core.statement import Row, Statement


class StoredEntry(NamedTuple):
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


# The entries and what the catalogue says of them come as columns, each an array, and are put together by whoever reads them: to make
# JSON of them here took as long as all the rest. Entries that are hidden, or that the user has met since, or that are not asked for,
# are left out, so that a list is right the moment it is read and not only the moment it was made. The items of the places and those
# that reasons name are each looked up at once, by arrays, of which the planner expects few elements: of a join it expects hundreds,
# and would read the whole catalogue. Nothing makes the plan depend on who is asked for: otherwise PostgreSQL plans every time,
# which takes longer than the rest.
_SHOWN: LiteralString = """
SELECT given.item_numbers[:%(reach)s] AS places, given.scores[:%(reach)s]::text AS scores, given.kinds[:%(reach)s] AS kinds,
       given.reason_items[:3 * %(reach)s] AS reason_items, given.reason_categories, given.met, found.*, named.*
FROM (
    SELECT array_agg(number) AS found_numbers, array_agg(item.id) AS found_ids, array_agg(title) AS found_titles,
           array_agg(array_to_json(categories)::text) AS found_categories, array_agg(image_url) AS found_images,
           array_agg(released_at) AS found_dates
    FROM {items}
) AS found
CROSS JOIN (
    SELECT array_agg(number) AS named_numbers, array_agg(id) AS named_ids, array_agg(title) AS named_titles
    FROM items WHERE number = ANY (given.reason_items[3 * %(offset)s + 1:3 * %(reach)s])
) AS named
"""
_ITEMS: LiteralString = "items AS item WHERE number = ANY (given.item_numbers[:%(reach)s]) AND NOT is_hidden"
SHOWN: LiteralString = _SHOWN.replace("{items}", _ITEMS)
SHOWN_NARROWED: LiteralString = _SHOWN.replace("{items}", f"(SELECT * FROM {_ITEMS} OFFSET 0) AS item WHERE {WANTED}")


SPARE: Final = 2
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


_GIVEN: Final = ("places", "scores", "kinds", "reason_items", "reason_categories", "met")
_FOUND: Final = ("found_numbers", "found_ids", "found_titles", "found_categories", "found_images", "found_dates")
_NAMED: Final = ("named_numbers", "named_ids", "named_titles")


def stored_entries(row: Row, narrowing: Narrowing) -> list[StoredEntry]:
    """The entries that are asked for, put together of the columns of `SHOWN`, which are taken out of the row."""
    places, scores, kinds, reasons, reason_categories, met = (row.pop(name) for name in _GIVEN)
    found, named = ([row.pop(name) or () for name in names] for names in (_FOUND, _NAMED))
    items = dict(zip(found[0], zip(*found[1:], strict=True), strict=True))
    left_out = frozenset() if narrowing.include_seen else frozenset(met)
    kept = [place for place, number in enumerate(places or ()) if number in items and items[number][0] not in left_out]
    kept = kept[narrowing.offset : narrowing.offset + narrowing.count]
    if not kept:
        return []
    told = {number: {"id": item_id, "title": title} for number, item_id, title in zip(*named, strict=True)}
    categories = json.loads(f"[{','.join(items[places[place]][2] for place in kept)}]")
    # As text, for the few digits that tell a short number from others are not those of the long one it becomes.
    of_places = scores[1:-1].split(",")
    entries = []
    for place, of_item in zip(kept, categories, strict=True):
        item_id, title, _, image_url, released_at = items[places[place]]
        source, reason = meaning_of(kinds[place])
        speakers = reasons[REASON_ITEMS * place : REASON_ITEMS * (place + 1)]
        because = [told[number] for number in speakers if number in told]
        category = reason_categories[-speakers[0] - 1] if speakers[0] < 0 else None
        score = float(of_places[place])
        entries.append(StoredEntry(item_id, title, of_item, image_url, released_at, score, source, reason, because, category))
    return entries


# A list that is stored nowhere: a worker's answer to a request.
_SHOW: LiteralString = (
    """
SELECT shown.*, (SELECT algorithm FROM model_versions WHERE id = %(model_version_id)s) AS algorithm
FROM (SELECT %(item_numbers)s::int4[] AS item_numbers, %(scores)s::float4[] AS scores, %(kinds)s::int2[] AS kinds,
             %(reason_items)s::int4[] AS reason_items, %(reason_categories)s::text[] AS reason_categories,
             ARRAY(SELECT item_id FROM interactions WHERE interactions.user_id = %(user_id)s::text) AS met) AS given
CROSS JOIN LATERAL ("""
    + SHOWN
    + ") AS shown"
)


def show(
    columns: Mapping[str, list[Any]], *, model_version_id: int | None, user_id: str | None, narrowing: Narrowing
) -> Statement[tuple[list[StoredEntry], str | None]]:
    """Entries (`Entries.columns`) as they are shown, without those that are hidden or that the user met meanwhile; and the algorithm.

    They are what the narrowing asked for already: only its count is left to be cut to, and what may be seen again.
    """
    asked = Narrowing(count=narrowing.count, include_seen=narrowing.include_seen)
    params = {**columns, **narrowed(asked), "user_id": user_id, "model_version_id": model_version_id}
    return Statement(_SHOW, params, lambda rows: (stored_entries(rows[0], asked), rows[0]["algorithm"]), binary=True)
