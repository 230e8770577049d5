"""Fires the schedules: each time once, by whichever dispatcher comes first."""

import time
from datetime import datetime
from typing import Any, Final

from psycopg import AsyncConnection

from app.metrics import DispatcherMetrics
from core import schedules, tasks
from core.cron import CronNotUnderstood, TimezoneUnknown
from core.database import AsyncPool, async_transaction
from core.log import get_logger
from core.messages import Payload, TrainPayload
from core.schedules import Fired, PayloadRefused, ScheduleRow

FIRST_TRAINING_LOOK_SECONDS: Final = 10.0

log = get_logger(__name__)


class Scheduler:
    """Any number of copies may run with the same time zone. Submitting and advancing are one transaction on a locked row."""

    def __init__(self, pool: AsyncPool, *, timezone: str, metrics: DispatcherMetrics | None = None) -> None:
        self._pool = pool
        self._timezone = timezone
        self._metrics = metrics or DispatcherMetrics()
        self._is_planned = False
        self._looked_at = time.monotonic()

    async def make_pass(self) -> bool:
        """Fire what is due and see to the first training; never asks to be called again at once."""
        if not self._is_planned:
            await self.plan()
            self._is_planned = True
        await self.fire()
        if time.monotonic() - self._looked_at >= FIRST_TRAINING_LOOK_SECONDS:
            self._looked_at = time.monotonic()
            await self.ensure_first_training()
        return False

    async def plan(self, *, now: datetime | None = None) -> None:
        """Move what follows the zone in the settings to that zone, in case the setting is new. What is due already stays due."""
        async with async_transaction(self._pool) as connection:
            for schedule in await schedules.take_followers_of_default_zone(now=now).run_async(connection):
                next_fire_at = self._next(schedule)
                if next_fire_at is not None:
                    await schedules.plan(schedule.name, next_fire_at).run_async(connection)

    async def fire(self, *, now: datetime | None = None) -> int:
        """Fire every schedule that is due, once, however often it was missed; returns how many fired.

        `now` is for tests; by default the database's clock decides.
        """
        count = 0
        while (fired := await self._take_one(now)) is not None:
            count += fired
        return count

    async def ensure_first_training(self) -> bool:
        """Submit a full training if there is data and no model; whether this call did. Not more often than every hour."""
        async with async_transaction(self._pool) as connection:
            hour = await schedules.needs_first_training().run_async(connection)
            if hour is None:
                return False
            # The key keeps apart those who look at the same moment.
            submitted = await tasks.submit(TrainPayload(), owner=schedules.OWNER, idem_key=f"first-training@{hour}").run_async(connection)
        if submitted is None:
            return False
        log.info("first training submitted, for there is data and no model", task_id=str(submitted.id))
        return True

    async def _take_one(self, now: datetime | None) -> bool | None:
        """Fire one schedule (True), or plan one that had no time yet (False); None if nothing was left to do."""
        async with async_transaction(self._pool) as connection:
            due = await schedules.take_due(now=now).run_async(connection)
            if due is None:
                return None
            next_fire_at = self._next(due)
            if due.next_fire_at is None and next_fire_at is not None:
                await schedules.plan(due.name, next_fire_at).run_async(connection)
                return False
            fired = await _submit(connection, due) if next_fire_at else Fired("refused", note="its cron or time zone is not understood")
            await schedules.advance(due, fired, next_fire_at=next_fire_at).run_async(connection)
        self._metrics.schedule_fires.labels(due.kind, fired.outcome).inc()
        tell = log.warning if fired.outcome == "refused" else log.info
        told = {"schedule": due.name, "due_at": str(due.next_fire_at), "task_id": fired.task_id and str(fired.task_id), "note": fired.note}
        tell("schedule fired", outcome=fired.outcome, **told)
        return True

    def _next(self, schedule: ScheduleRow) -> datetime | None:
        # Commands and API refuse what has no next time; a row that was changed by hand must not stop the others.
        try:
            return schedule.next_after_now(self._timezone)
        except (CronNotUnderstood, TimezoneUnknown) as error:
            log.error("schedule without a next time", schedule=schedule.name, reason=str(error))
            return None


async def _submit(connection: AsyncConnection[Any], due: ScheduleRow) -> Fired:
    try:
        payload = schedules.payload_of(due.kind, due.payload)
    except PayloadRefused as error:
        return Fired("refused", note=str(error))
    assert due.next_fire_at is not None
    return await _fire(connection, payload, idem_key=f"{due.name}@{due.next_fire_at.isoformat()}")


async def _fire(connection: AsyncConnection[Any], payload: Payload, *, idem_key: str) -> Fired:
    for _attempt in range(3):
        submitted = await tasks.submit(payload, owner=schedules.OWNER, idem_key=idem_key).run_async(connection)
        if submitted is not None:
            return Fired("coalesced" if submitted.outcome == "coalesced" else "submitted", submitted.id)
        twin = await tasks.find_twin(payload, owner=schedules.OWNER, idem_key=idem_key).run_async(connection)
        if twin is not None and twin.outcome == "active":
            return Fired("skipped", twin.id, "the task of this kind that went before has not ended")
        if twin is not None:
            return Fired("skipped", twin.id, "this time was fired before")
        # The one in the way has just ended.
    return Fired("skipped", note="tasks of this kind end and begin too quickly")
