"""The entries of a list as arrays of numbers, the way PostgreSQL stores and sends them, and what the numbers mean."""

import struct
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, get_args

Source = Literal["personal", "popular", "new", "trending"]
ReasonType = Literal["because_you_watched", "popular", "new", "category", "similar", "trending"]

SOURCES: Final[tuple[Source, ...]] = get_args(Source)
REASON_TYPES: Final[tuple[ReasonType, ...]] = get_args(ReasonType)
"""Both are stored by their places: add at the end only, and change no order."""

REASON_ITEMS: Final = 3
"""At most so many items of the history are named as the reason of an entry."""

_SOURCE_STEP: Final = 16


def kind_of(source: Source, reason: ReasonType) -> int:
    """Source and reason type as one small number."""
    return SOURCES.index(source) * _SOURCE_STEP + REASON_TYPES.index(reason)


@cache
def meaning_of(kind: int) -> tuple[Source, ReasonType]:
    """The source and the reason type behind a number of `kind_of`."""
    source, reason = divmod(kind, _SOURCE_STEP)
    return SOURCES[source], REASON_TYPES[reason]


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of a list, best first: four columns, each the elements of an array in PostgreSQL's binary format.

    That is each number in network order behind its length in bytes (int4), so that whoever has arrays writes them as they are.
    """

    items: bytes  # int4 [entries] `items.number`
    scores: bytes  # float4 [entries] comparable within the list only
    kinds: bytes  # int2 [entries] `kind_of`
    reasons: bytes  # int4 [entries × REASON_ITEMS] items that speak for it, strongest first, 0 for none; or first −k: the k-th category
    categories: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items) // 8

    def columns(self) -> dict[str, list[Any]]:
        """The same as lists, by the names of the table's columns."""
        return {
            "item_numbers": _numbers(">ii", self.items),
            "scores": _numbers(">if", self.scores),
            "kinds": _numbers(">ih", self.kinds),
            "reason_items": _numbers(">ii", self.reasons),
            "reason_categories": list(self.categories),
        }


def _numbers(form: str, elements: bytes) -> list[Any]:
    return [number for _, number in struct.iter_unpack(form, elements)]
