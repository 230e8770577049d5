"""Schedules as statements: read, written, and taken when they are due. Time is the database's, unless a test states it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, LiteralString

from psycopg.types.json import Jsonb
from pydantic import ValidationError

from core.cron import CronNotUnderstood, TimezoneUnknown, next_time, next_times
from core.messages import PAYLOADS, Payload, PayloadNotUnderstood, parse
from core.statement import Row, Statement, nothing

OWNER: Final = "schedules"
"""The owner of the tasks that schedules submit."""

Outcome = Literal["submitted", "coalesced", "skipped", "refused"]
"""`coalesced`: a queued task promises the same. `skipped`: the task of an exclusive kind that went before has not ended.
`refused`: the payload or the expression is not understood."""


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A task that is submitted by the clock, and how that went the last time."""

    name: str
    kind: str
    payload: dict[str, Any]
    cron: str
    timezone: str | None
    """None stands for the zone in the settings."""
    is_enabled: bool
    next_fire_at: datetime | None
    last_fired_at: datetime | None
    last_due_at: datetime | None
    last_outcome: Outcome | None
    last_note: str | None
    last_task_id: uuid.UUID | None
    last_task_state: str | None
    """None also where that task was forgotten since."""
    last_task_note: str | None
    """What it ended with: its error, or the note in its result."""
    created_at: datetime
    now: datetime
    """The database's clock when the row was read."""

    def next_after_now(self, default_timezone: str) -> datetime:
        """When it is due after this reading. Raises `CronNotUnderstood`, `TimezoneUnknown`."""
        return next_time(self.cron, self.timezone or default_timezone, after=self.now)

    def upcoming(self, default_timezone: str, *, count: int) -> list[datetime]:
        """Its next times, were it enabled; none if it is not understood, as a row that was changed by hand."""
        try:
            return next_times(self.cron, self.timezone or default_timezone, after=self.now, count=count)
        except (CronNotUnderstood, TimezoneUnknown):
            return []


class PayloadRefused(ValueError):
    """A payload that its kind does not take; the message says which field and why."""


def payload_of(kind: str, payload: Mapping[str, Any]) -> Payload:
    """What the task of a schedule will be asked. Raises `PayloadRefused`."""
    try:
        known = PAYLOADS.get(kind)
        return parse(kind, known.version if known else 1, dict(payload))
    except PayloadNotUnderstood as error:
        raise PayloadRefused(str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "payload"
        raise PayloadRefused(f"{place}: {first['msg']}") from None


_COLUMNS: Final = """name, kind, payload, cron, timezone, is_enabled, next_fire_at, last_fired_at, last_due_at, last_outcome, last_note,
       last_task_id, (SELECT state FROM tasks WHERE tasks.id = last_task_id) AS last_task_state,
       (SELECT coalesce(error ->> 'message', result ->> 'note') FROM tasks WHERE tasks.id = last_task_id) AS last_task_note,
       created_at, coalesce(%(now)s::timestamptz, clock_timestamp()) AS now"""


def _one(rows: list[Row]) -> ScheduleRow | None:
    return ScheduleRow(**rows[0]) if rows else None


def _all(rows: list[Row]) -> list[ScheduleRow]:
    return [ScheduleRow(**row) for row in rows]


def read_clock() -> Statement[datetime]:
    """The database's clock."""
    return Statement("SELECT clock_timestamp() AS now", {}, lambda rows: rows[0]["now"])


def list_all() -> Statement[list[ScheduleRow]]:
    """Every schedule, by name."""
    return Statement("SELECT " + _COLUMNS + " FROM schedules ORDER BY name", {"now": None}, _all)


def find(name: str, *, for_update: bool = False) -> Statement[ScheduleRow | None]:
    """One schedule, locked until the transaction ends if it is to be changed."""
    lock: LiteralString = " FOR UPDATE" if for_update else ""
    return Statement("SELECT " + _COLUMNS + " FROM schedules WHERE name = %(name)s" + lock, {"name": name, "now": None}, _one)


_PUT = """
INSERT INTO schedules (name, kind, payload, cron, timezone, is_enabled, next_fire_at)
VALUES (%(name)s, %(kind)s, %(payload)s, %(cron)s, %(timezone)s, %(is_enabled)s, %(next_fire_at)s)
ON CONFLICT (name) DO NOTHING RETURNING name
"""

_UPDATE = """
WITH updated AS (
    UPDATE schedules SET payload = %(payload)s, cron = %(cron)s, timezone = %(timezone)s, is_enabled = %(is_enabled)s,
           next_fire_at = %(next_fire_at)s
    WHERE name = %(name)s RETURNING name
)
INSERT INTO audit_entries (actor, action, subject, details, correlation_id)
SELECT %(actor)s, 'schedule.update', 'schedule:' || name, %(details)s, %(correlation_id)s FROM updated
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a schedule shall be; `next_fire_at` is None while it is disabled, and until a dispatcher has seen it."""

    name: str
    kind: str
    payload: Mapping[str, Any]
    cron: str
    timezone: str | None
    is_enabled: bool
    next_fire_at: datetime | None


def _params(wanted: Wanted) -> dict[str, object]:
    return {name: getattr(wanted, name) for name in Wanted.__dataclass_fields__} | {"payload": Jsonb(dict(wanted.payload))}


def create(wanted: Wanted) -> Statement[bool]:
    """Add a schedule; False if there is one of that name."""
    return Statement(_PUT, _params(wanted), bool)


def change(
    row: ScheduleRow, changes: Mapping[str, Any], *, default_timezone: str, actor: str, correlation_id: str | None = None
) -> tuple[Wanted, Statement[None]]:
    """What a schedule that `find` has locked shall be, and the statement that makes it so and remembers who did.

    A time that was missed already is not made up for. Raises `CronNotUnderstood`, `TimezoneUnknown`.
    """
    wanted = _changed(row, default_timezone=default_timezone, **changes)
    details = {"before": {name: getattr(row, name) for name in changes}, "after": dict(changes)}
    params = {**_params(wanted), "actor": actor, "correlation_id": correlation_id, "details": Jsonb(details)}
    return wanted, Statement(_UPDATE, params, nothing)


def _changed(
    row: ScheduleRow,
    *,
    default_timezone: str,
    payload: Mapping[str, Any] | None = None,
    cron: str | None = None,
    timezone: str | Literal["keep"] | None = "keep",
    is_enabled: bool | None = None,
) -> Wanted:
    after = replace(
        row,
        payload=row.payload if payload is None else dict(payload),
        cron=row.cron if cron is None else cron,
        timezone=row.timezone if timezone == "keep" else timezone,
        is_enabled=row.is_enabled if is_enabled is None else is_enabled,
    )
    next_fire_at = after.next_after_now(default_timezone)
    return Wanted(
        name=row.name,
        kind=row.kind,
        payload=after.payload,
        cron=after.cron,
        timezone=after.timezone,
        is_enabled=after.is_enabled,
        next_fire_at=next_fire_at if after.is_enabled else None,
    )


def delete(name: str) -> Statement[bool]:
    """Remove a schedule; False if there is none of that name."""
    return Statement("DELETE FROM schedules WHERE name = %(name)s RETURNING name", {"name": name}, bool)


_DUE: Final = (
    "SELECT "
    + _COLUMNS
    + """
FROM schedules
WHERE is_enabled AND (next_fire_at IS NULL OR next_fire_at <= coalesce(%(now)s::timestamptz, clock_timestamp()))
ORDER BY next_fire_at, name LIMIT 1 FOR UPDATE SKIP LOCKED
"""
)


def take_due(*, now: datetime | None) -> Statement[ScheduleRow | None]:
    """The schedule that has been due longest, locked; or one that has no next time yet. What another dispatcher holds is skipped."""
    return Statement(_DUE, {"now": now}, _one)


_FOLLOWERS: Final = (
    "SELECT "
    + _COLUMNS
    + """
FROM schedules
WHERE is_enabled AND timezone IS NULL AND next_fire_at > coalesce(%(now)s::timestamptz, clock_timestamp())
ORDER BY name FOR UPDATE
"""
)


def take_followers_of_default_zone(*, now: datetime | None) -> Statement[list[ScheduleRow]]:
    """The schedules in the zone of the settings whose time has not come, locked."""
    return Statement(_FOLLOWERS, {"now": now}, _all)


def plan(name: str, next_fire_at: datetime) -> Statement[None]:
    """Say when a schedule is due next."""
    return Statement(
        "UPDATE schedules SET next_fire_at = %(next_fire_at)s WHERE name = %(name)s", {"name": name, "next_fire_at": next_fire_at}, nothing
    )


_ADVANCE = """
UPDATE schedules SET last_due_at = next_fire_at, last_fired_at = %(fired_at)s, last_outcome = %(outcome)s, last_note = %(note)s,
       last_task_id = %(task_id)s, next_fire_at = %(next_fire_at)s, is_enabled = %(next_fire_at)s::timestamptz IS NOT NULL
WHERE name = %(name)s
"""


@dataclass(frozen=True, slots=True)
class Fired:
    """What became of one firing."""

    outcome: Outcome
    task_id: uuid.UUID | None = None
    note: str | None = None


def advance(due: ScheduleRow, fired: Fired, *, next_fire_at: datetime | None) -> Statement[None]:
    """Note a firing and say when the next is; None disables a schedule that cannot have one."""
    params = {
        "name": due.name,
        "fired_at": due.now,
        "outcome": fired.outcome,
        "note": fired.note,
        "task_id": fired.task_id,
        "next_fire_at": next_fire_at,
    }
    return Statement(_ADVANCE, params, nothing)


_NEEDS_FIRST_TRAINING = """
SELECT to_char(date_trunc('hour', clock_timestamp() AT TIME ZONE 'UTC'), 'YYYY-MM-DD"T"HH24') AS hour
WHERE NOT EXISTS (SELECT FROM model_versions) AND EXISTS (SELECT FROM interactions)
  AND NOT EXISTS (SELECT FROM tasks WHERE kind = 'train' AND created_at > now() - interval '1 hour')
"""


def needs_first_training() -> Statement[str | None]:
    """If there is data, no model, and nobody has asked for a training within the hour: the present hour, as text."""
    return Statement(_NEEDS_FIRST_TRAINING, {}, lambda rows: rows[0]["hour"] if rows else None)
