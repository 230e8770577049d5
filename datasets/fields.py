"""Turns one field of a line into a value, or says why it is none."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from datasets.lines import is_text

T = TypeVar("T")

LOWEST_STARS, HIGHEST_STARS = 0.5, 5.0
SHOWN_CHARACTERS = 60
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_WHOLE = re.compile(r"[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_DATE = re.compile(r"(?P<day>\d{1,2})-(?P<month>[A-Z][a-z]{2})-(?P<year>\d{4})", re.ASCII)


class BadField(ValueError):
    """The field at a place of a line cannot be used; `reason` says why, with the value."""

    def __init__(self, place: int, reason: str) -> None:
        super().__init__(reason)
        self.place, self.reason = place, reason


def whole(fields: Sequence[str], place: int) -> str:
    """A whole number, as it is written: MovieLens's ids."""
    if not _WHOLE.fullmatch(fields[place]):
        raise _bad(fields, place, "a whole number")
    return fields[place]


def stars(fields: Sequence[str], place: int) -> float:
    """A rating."""
    if not _DECIMAL.fullmatch(fields[place]):
        raise _bad(fields, place, "a number")
    value = float(fields[place])
    if not LOWEST_STARS <= value <= HIGHEST_STARS:
        raise _bad(fields, place, f"between {LOWEST_STARS:g} and {HIGHEST_STARS:g}")
    return value


def epoch_seconds(fields: Sequence[str], place: int, *, latest: float) -> int:
    """Seconds since 1970, up to `latest`."""
    if not _WHOLE.fullmatch(fields[place]):
        raise _bad(fields, place, "a whole number of seconds since 1970")
    if int(fields[place]) > latest:
        raise BadField(place, f"{_shown(fields[place])} is in the future")
    return int(fields[place])


def text(fields: Sequence[str], place: int, *, encoding: str) -> str:
    """Text without surrounding blanks that can be stored and is not empty."""
    value = fields[place].strip()
    if not value:
        raise BadField(place, "is empty")
    if not is_text(value):
        raise _bad(fields, place, f"{encoding.upper()} text")
    return value


def date_or_none(fields: Sequence[str], place: int) -> datetime | None:
    """A date such as 01-Jan-1995, or nothing."""
    if not fields[place]:
        return None
    match = _DATE.fullmatch(fields[place])
    try:
        assert match
        return datetime(int(match["year"]), MONTHS.index(match["month"]) + 1, int(match["day"]), tzinfo=UTC)
    except (AssertionError, ValueError):
        raise _bad(fields, place, "a date such as 01-Jan-1995") from None


def flag(fields: Sequence[str], place: int) -> bool:
    """0 or 1."""
    if fields[place] not in {"0", "1"}:
        raise _bad(fields, place, "0 or 1")
    return fields[place] == "1"


def looked_up(fields: Sequence[str], place: int, look_up: Callable[[str], T]) -> T:
    """What `look_up` makes of the field; its LookupError and ValueError mean that the field is not known."""
    try:
        return look_up(fields[place])
    except (LookupError, ValueError):
        raise BadField(place, f"{_shown(fields[place])} is not known") from None


def _bad(fields: Sequence[str], place: int, expected: str) -> BadField:
    return BadField(place, f"{_shown(fields[place])} is not {expected}")


def _shown(value: str) -> str:
    """The value in quotes, shortened, with nothing in it that a terminal or a JSON file cannot show."""
    short = value if len(value) <= SHOWN_CHARACTERS else value[:SHOWN_CHARACTERS] + "…"
    return ascii(short) if not is_text(short) else repr(short)
