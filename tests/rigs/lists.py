"""Entries of lists by the ids of items, as tests name them: into the arrays that are stored, and out of them."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from core.entries import REASON_ITEMS, Entries, ReasonType, Source, kind_of, meaning_of

GONE = 2_000_000_000
"""The number of an item that does not exist."""


@dataclass(frozen=True)
class Reason:
    type: ReasonType
    item_ids: tuple[str, ...] = ()
    category: str | None = None


@dataclass(frozen=True)
class Entry:
    item_id: str
    score: float
    source: Source
    reason: Reason


def packed(connection: Connection[Any], told: Sequence[Entry]) -> Entries:
    """The entries as arrays; items that do not exist get a number nobody has."""
    numbers: dict[str, int] = dict(connection.execute("SELECT id, number FROM items").fetchall())
    categories = tuple(dict.fromkeys(one.reason.category for one in told if one.reason.category is not None))
    reasons: list[int] = []
    for one in told:
        named = [numbers.get(item_id, GONE) for item_id in one.reason.item_ids]
        if one.reason.category is not None:
            named = [-1 - categories.index(one.reason.category)]
        reasons += [*named, *[0] * (REASON_ITEMS - len(named))]
    return Entries(
        b"".join(struct.pack(">ii", 4, numbers.get(one.item_id, GONE)) for one in told),
        b"".join(struct.pack(">if", 4, one.score) for one in told),
        b"".join(struct.pack(">ih", 2, kind_of(one.source, one.reason.type)) for one in told),
        b"".join(struct.pack(">ii", 4, number) for number in reasons),
        categories,
    )


def unpacked(connection: Connection[Any], columns: Mapping[str, list[Any]]) -> list[Entry]:
    """The entries out of the columns of a table, or of `Entries.columns`."""
    ids: dict[int, str] = dict(connection.execute("SELECT number, id FROM items").fetchall())
    told = []
    for place, number in enumerate(columns["item_numbers"]):
        source, reason = meaning_of(columns["kinds"][place])
        named = columns["reason_items"][REASON_ITEMS * place : REASON_ITEMS * (place + 1)]
        category = columns["reason_categories"][-1 - named[0]] if named[0] < 0 else None
        because = tuple(ids[one] for one in named if one > 0)
        told.append(Entry(ids[number], columns["scores"][place], source, Reason(reason, because, category)))
    return told


def stored(connection: Connection[Any], user_id: str) -> list[Entry]:
    """What is stored for a user, hidden and met items too."""
    names = ("item_numbers", "scores", "kinds", "reason_items", "reason_categories")
    sql = f"SELECT {', '.join(names)} FROM recommendation_lists WHERE user_id = %s"
    row = connection.execute(sql, (user_id,)).fetchone()
    assert row is not None
    return unpacked(connection, dict(zip(names, row, strict=True)))
