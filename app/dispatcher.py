"""The loop that keeps tasks moving: takes them from workers that died and expires what came too late."""

import asyncio
import time
from typing import Final

import psycopg
from psycopg_pool import PoolTimeout

from core import tasks
from core.database import AsyncPool, async_transaction
from core.log import get_logger

BATCH: Final = 1000
MAX_BACKOFF_SECONDS: Final = 10.0

log = get_logger(__name__)


class Dispatcher:
    """Any number of copies may run; what one has locked the others skip."""

    def __init__(self, pool: AsyncPool, *, interval_seconds: float = 1.0) -> None:
        self._pool = pool
        self._interval = interval_seconds
        self._passed_at: float | None = None

    @property
    def seconds_since_pass(self) -> float | None:
        """How long ago the last pass succeeded; None before the first."""
        return None if self._passed_at is None else time.monotonic() - self._passed_at

    async def run(self) -> None:
        """Make passes until cancelled; a fault is logged once and tried again, more and more slowly."""
        faults = 0
        while True:
            try:
                is_more = await self.make_pass()
            except Exception as error:  # whatever it is, the loop must not end
                if faults == 0:
                    _report(error)
                faults += 1
                await asyncio.sleep(min(MAX_BACKOFF_SECONDS, self._interval * 2 ** min(faults, 10)))
                continue
            if faults:
                log.info("the dispatcher is at work again", missed_passes=faults)
            faults = 0
            self._passed_at = time.monotonic()
            await asyncio.sleep(0 if is_more else self._interval)

    async def make_pass(self) -> bool:
        """Reap once; whether there may be more to do at once."""
        async with async_transaction(self._pool) as connection:
            reaped = await tasks.reap(limit=BATCH).run_async(connection)
            if reaped.requeued:
                await tasks.ring(sorted(set(reaped.requeued.values()))).run_async(connection)
            if reaped.ended:
                await tasks.notify_finished(list(reaped.ended)).run_async(connection)
        if reaped.requeued or reaped.ended:
            log.info("tasks reaped", requeued_count=len(reaped.requeued), ended_count=len(reaped.ended))
        return len(reaped.requeued) + len(reaped.ended) >= BATCH


def _report(error: Exception) -> None:
    if isinstance(error, psycopg.OperationalError | PoolTimeout):
        log.warning("the dispatcher waits for the database", reason=str(error).strip())
    else:
        log.error("the dispatcher failed and goes on", exc_info=error)
