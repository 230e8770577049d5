"""Recording what users do as a statement: which types there are, what values they take."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from core.statement import Row, Statement

InteractionType = Literal["watch", "rating", "like", "dislike", "bookmark", "view"]

VALUE_RANGES: Final[dict[InteractionType, tuple[float, float]]] = {
    "watch": (0.0, 1.0),
    "rating": (0.5, 5.0),
    "like": (1.0, 1.0),
    "dislike": (1.0, 1.0),
    "bookmark": (1.0, 1.0),
    "view": (1.0, 1.0),
}
"""Least and greatest value of each type. A watch is the share that was seen; where both are 1 only the event counts."""

DEFAULT_VALUES: Final[dict[InteractionType, float]] = {"watch": 1.0, "like": 1.0, "dislike": 1.0, "bookmark": 1.0, "view": 1.0}
"""What a missing value means; a rating without one means nothing."""


INDIFFERENT: Final = 2.5
"""A rating up to here speaks against an item, as a dislike does."""


def is_favourable(type: InteractionType, value: float) -> bool:  # noqa: A002 (the column's name)
    """Whether an interaction says something for its item."""
    return type != "dislike" and (type != "rating" or value > INDIFFERENT)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An interaction as it is stored."""

    id: int
    user_id: str
    item_id: str
    type: InteractionType
    value: float
    occurred_at: datetime
    created_at: datetime


_RECORD = """
INSERT INTO interactions (user_id, item_id, type, value, occurred_at)
VALUES (%(user_id)s, %(item_id)s, %(type)s, %(value)s, coalesce(%(occurred_at)s::timestamptz, clock_timestamp()))
ON CONFLICT (user_id, occurred_at, item_id, type) DO UPDATE SET value = excluded.value
RETURNING id, user_id, item_id, type, value, occurred_at, created_at
"""


def record(*, user_id: str, item_id: str, type: InteractionType, value: float, occurred_at: datetime | None = None) -> Statement[Recorded]:  # noqa: A002 (the column's name)
    """Store an interaction, now unless a time is given; the same event told again replaces the value.

    An unknown user or item violates the foreign key of that column.
    """

    def read(rows: list[Row]) -> Recorded:
        return Recorded(**rows[0])

    params = {"user_id": user_id, "item_id": item_id, "type": type, "value": value, "occurred_at": occurred_at}
    return Statement(_RECORD, params, read)
