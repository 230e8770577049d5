"""Schedules as administrators see them: made, changed, removed, run now; every deed is in the audit trail."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from app.actor import Actor
from app.errors import RequestInvalid, ScheduleExists, ScheduleNotFound
from app.faults import Unexpected
from app.task_errors import TaskAlreadyActive
from core import schedules, tasks
from core.cron import CronNotUnderstood, TimezoneUnknown, next_time
from core.schedules import PayloadRefused, ScheduleRow, Wanted


async def read_clock(connection: AsyncConnection[Any]) -> datetime:
    """The clock that decides when a schedule is due."""
    return await schedules.read_clock().run_async(connection)


async def list_schedules(connection: AsyncConnection[Any]) -> list[ScheduleRow]:
    """All of them, by name."""
    return await schedules.list_all().run_async(connection)


async def get_schedule(connection: AsyncConnection[Any], name: str, *, for_update: bool = False) -> ScheduleRow:
    """One schedule, locked if it is to be changed. Raises `ScheduleNotFound`."""
    found = await schedules.find(name, for_update=for_update).run_async(connection)
    if found is None:
        raise ScheduleNotFound(name)
    return found


async def create_schedule(
    connection: AsyncConnection[Any], values: Mapping[str, Any], *, default_timezone: str, actor: Actor
) -> ScheduleRow:
    """Add a schedule; the values are validated already. Raises `ScheduleExists`."""
    now = await read_clock(connection)
    next_fire_at = next_time(values["cron"], values["timezone"] or default_timezone, after=now) if values["is_enabled"] else None
    if not await schedules.create(Wanted(**values, next_fire_at=next_fire_at)).run_async(connection):
        raise ScheduleExists(values["name"])
    await actor.did("schedule.create", f"schedule:{values['name']}", dict(values)).run_async(connection)
    return await get_schedule(connection, values["name"])


async def update_schedule(
    connection: AsyncConnection[Any], row: ScheduleRow, changes: Mapping[str, Any], *, default_timezone: str, actor: Actor
) -> ScheduleRow:
    """Change a schedule that `get_schedule` has locked.

    The changes are validated already; `RequestInvalid` tells of what was wrong in the row before.
    """
    try:
        _, deed = schedules.change(
            row, changes, default_timezone=default_timezone, actor=actor.account_id, correlation_id=actor.correlation_id
        )
    except CronNotUnderstood as error:
        raise RequestInvalid.because("cron", str(error)) from None
    except TimezoneUnknown as error:
        raise RequestInvalid.because("timezone", str(error)) from None
    await deed.run_async(connection)
    return await get_schedule(connection, row.name)


async def delete_schedule(connection: AsyncConnection[Any], name: str, *, actor: Actor) -> None:
    """Remove a schedule; tasks that it submitted stay. Raises `ScheduleNotFound`."""
    row = await get_schedule(connection, name, for_update=True)
    await schedules.delete(name).run_async(connection)
    details = {"kind": row.kind, "payload": row.payload, "cron": row.cron, "timezone": row.timezone}
    await actor.did("schedule.delete", f"schedule:{name}", details).run_async(connection)


async def run_schedule(connection: AsyncConnection[Any], name: str, *, actor: Actor) -> uuid.UUID:
    """Submit a schedule's task now, whether it is enabled or not and without moving its next time; returns the task's id.

    Raises `ScheduleNotFound`, `TaskAlreadyActive`, or `RequestInvalid` for a payload that is no longer understood.
    """
    row = await get_schedule(connection, name)
    try:
        payload = schedules.payload_of(row.kind, row.payload)
    except PayloadRefused as error:
        raise RequestInvalid.because("payload", str(error)) from None
    for _attempt in range(3):
        submitted = await tasks.submit(payload, owner=actor.account_id, correlation_id=actor.correlation_id).run_async(connection)
        if submitted is not None:
            await actor.did("schedule.run", f"schedule:{name}", {"task_id": str(submitted.id)}).run_async(connection)
            return submitted.id
        twin = await tasks.find_twin(payload, owner=actor.account_id).run_async(connection)
        if twin is not None:
            raise TaskAlreadyActive(row.kind, twin.id)
        # The one in the way has just ended.
    raise Unexpected
