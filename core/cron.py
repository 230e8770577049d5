"""Cron expressions in time zones: which field is wrong, and when the next times come."""

from datetime import UTC, datetime
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

MAX_LENGTH: Final = 200

_FORMS: Final = "*, lists (1,2), ranges (1-5) and steps (*/15)"
FIELDS: Final[dict[str, str]] = {
    "minute": f"0 to 59, {_FORMS}",
    "hour": f"0 to 23, {_FORMS}",
    "day-of-month": f"1 to 31 as far as the months have them, L for the last day, LW for the last weekday, {_FORMS}",
    "month": f"1 to 12 or JAN to DEC, {_FORMS}",
    "day-of-week": f"0 to 7 (0 and 7 are Sunday) or SUN to SAT, 5L for the last Friday, 1#2 for the second Monday, {_FORMS}",
}
"""The fields of an expression in order, and what each may be."""


class CronNotUnderstood(ValueError):
    """An expression that is none, or that never comes; the message names the field and what is allowed in it."""


class TimezoneUnknown(ValueError):
    """A name that is no time zone."""


def check_timezone(name: str) -> str:
    """The name itself. Raises `TimezoneUnknown`."""
    _zone(name)
    return name


def check_cron(expression: str) -> str:
    """The expression itself. Raises `CronNotUnderstood`."""
    next_times(expression, "UTC", after=datetime(2000, 1, 1, tzinfo=UTC), count=1)
    return expression


def in_zone(moment: datetime, timezone: str) -> datetime:
    """The same moment on the zone's clock. Raises `TimezoneUnknown`."""
    return moment.astimezone(_zone(timezone))


def next_time(expression: str, timezone: str, *, after: datetime) -> datetime:
    """When the expression comes next, in UTC. Raises `CronNotUnderstood`, `TimezoneUnknown`."""
    return next_times(expression, timezone, after=after, count=1)[0]


def next_times(expression: str, timezone: str, *, after: datetime, count: int) -> list[datetime]:
    """The next `count` times after a moment (aware), in UTC, ascending.

    Daylight saving as in Debian's cron: what names an hour comes once a day, after the gap if its time is left out and the first
    time if there are two; what has * in the minute or the hour keeps its pace. Raises `CronNotUnderstood`, `TimezoneUnknown`.
    """
    fields = expression.split()
    if len(expression) > MAX_LENGTH or len(fields) != len(FIELDS):
        found = f"{len(fields)} fields" if len(expression) <= MAX_LENGTH else f"{len(expression)} characters"
        raise CronNotUnderstood(f"needs the five fields {', '.join(FIELDS)}, as in `0 0 * * *`; it has {found}")
    try:
        coming = CronSim(expression, after.astimezone(_zone(timezone)))
        # Compared in UTC: within one zone the wall clock would be, which shows some times twice a year.
        moments = (moment.astimezone(UTC) for moment in coming)
        times = list(islice((moment for moment in moments if moment > after), count))
    except CronSimError as error:
        raise CronNotUnderstood(_complaint(str(error), fields)) from None
    if not times:
        raise CronNotUnderstood("names a day that does not come in the next 50 years")
    return times


def _complaint(said: str, fields: list[str]) -> str:
    """What cronsim says, which is `Bad minute`, with the text that it does not understand and what it would."""
    for (name, allowed), text in zip(FIELDS.items(), fields, strict=True):
        if said.endswith(name):
            return f"the field {name} is {text!r}; allowed are {allowed}"
    return said


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones is an OSError
        raise TimezoneUnknown(f"{name!r} is no time zone; use a name such as UTC, Europe/Berlin or America/New_York") from None
