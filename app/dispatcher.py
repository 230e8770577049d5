"""The loops that keep tasks moving: one takes them from workers that died, one fires schedules, one rings the broker for what is due."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import psycopg
from psycopg_pool import PoolTimeout

from app.metrics import DispatcherMetrics
from app.publisher import Publisher
from app.scheduler import Scheduler
from core import tasks
from core.database import AsyncPool, async_transaction
from core.log import get_logger
from core.tasks import DueRing
from core.topology import QUEUE_NAMES, QueueName

BATCH: Final = 1000
MAX_BACKOFF_SECONDS: Final = 10.0
LATE_SECONDS: Final = 15.0
REFILL_SECONDS: Final = 0.05
"""So long after a pass that rang the next one looks whether the window has room again, then twice as long and so on."""
WINDOW: Final = 1000
"""Tasks of a queue that are rung for at a time; the backlog stays in the table, where it is fair and can be cancelled."""
PATIENCE_SECONDS: Final = 30.0
"""After this time a ring that brought no claim counts as lost. Slots that hear nothing look for themselves much earlier."""

log = get_logger(__name__)


class Dispatcher:
    """Any number of copies may run; what one has locked the others skip. Without a publisher there is nothing to ring."""

    def __init__(
        self,
        pool: AsyncPool,
        publisher: Publisher | None = None,
        *,
        scheduler: Scheduler | None = None,
        interval_seconds: float = 1.0,
        metrics: DispatcherMetrics | None = None,
    ) -> None:
        self._pool = pool
        self._publisher = publisher
        self._scheduler = scheduler
        self._interval = interval_seconds
        self._metrics = metrics or DispatcherMetrics()
        self._passed_at: float | None = None
        self._is_due = asyncio.Event()
        self._pause = interval_seconds

    @property
    def seconds_since_pass(self) -> float | None:
        """How long ago the last reaping succeeded; None before the first."""
        return None if self._passed_at is None else time.monotonic() - self._passed_at

    @property
    def pass_age(self) -> float:
        """`seconds_since_pass` as a metric tells it."""
        seconds = self.seconds_since_pass
        return math.inf if seconds is None else seconds

    def describe(self) -> str:
        """`ok`, or what is wrong with the passes."""
        seconds = self.seconds_since_pass
        if seconds is None:
            return "has not made a pass yet"
        return "ok" if seconds <= LATE_SECONDS else f"made its last pass {seconds:.0f} s ago"

    def wake(self) -> None:
        """Something has become due: ring for it now."""
        self._is_due.set()

    async def run(self) -> None:
        """Work until cancelled. Each duty has a loop of its own, so that what fails or does not answer delays no other."""
        loops = [self._repeat(self.reap, self._sleep)]
        if self._scheduler is not None:
            loops.append(self._repeat(self._scheduler.make_pass, self._sleep))
        if self._publisher is not None:
            loops.append(self._repeat(self.ring, self._wait_until_due))
        await asyncio.gather(*loops)

    async def reap(self) -> bool:
        """Take tasks from workers that died and expire what came too late; whether there may be more to do at once."""
        async with async_transaction(self._pool) as connection:
            reaped = await tasks.reap(limit=BATCH).run_async(connection)
            if reaped.requeued:
                await tasks.ring(sorted(set(reaped.requeued.values()))).run_async(connection)
            if reaped.ended:
                await tasks.notify_finished(list(reaped.ended)).run_async(connection)
        if reaped.requeued or reaped.ended:
            self._metrics.reaped.labels("requeued").inc(len(reaped.requeued))
            for state in reaped.ended.values():
                self._metrics.reaped.labels(state).inc()
            log.info("tasks reaped", requeued_count=len(reaped.requeued), ended_count=len(reaped.ended))
        self._passed_at = time.monotonic()
        return len(reaped.requeued) + len(reaped.ended) >= BATCH

    async def ring(self) -> bool:
        """Ring for due tasks as far as the window allows; whether there may be more to do at once."""
        publisher = self._publisher
        if publisher is None or not publisher.is_connected:
            return False
        rung = [await self._ring_queue(publisher, queue) for queue in QUEUE_NAMES]
        self._pause = min(REFILL_SECONDS if max(rung) else 2 * self._pause, self._interval)
        return max(rung) >= WINDOW

    async def _ring_queue(self, publisher: Publisher, queue: QueueName) -> int:
        async with async_transaction(self._pool) as connection:
            due = await tasks.take_rings(queue, window=WINDOW, patience_seconds=PATIENCE_SECONDS).run_async(connection)
        taken_at = time.monotonic()
        # The mark is committed before the ring is out: a worker must not be faster than the mark.
        failed = await publisher.publish(queue, [ring.id for ring in due]) if due else []
        if failed:
            async with async_transaction(self._pool) as connection:
                await tasks.unring(failed).run_async(connection)
            log.warning("rings not taken by the broker", queue=queue, count=len(failed))
        self._measure(queue, [ring for ring in due if ring.id not in set(failed)], time.monotonic() - taken_at)
        return len(due) - len(failed)

    def _measure(self, queue: QueueName, rung: Sequence[DueRing], took: float) -> None:
        for ring in rung:
            if ring.is_repeated:
                self._metrics.repeated_rings.labels(queue).inc()
            else:
                self._metrics.ring_lag.labels("dispatcher").observe(ring.waited_seconds + took)

    async def _repeat(self, make_pass: Callable[[], Awaitable[bool]], wait: Callable[[], Awaitable[None]]) -> None:
        """Make passes until cancelled; a fault is logged once and tried again, more and more slowly."""
        faults = 0
        while True:
            try:
                is_more = await make_pass()
            except Exception as error:  # whatever it is, the loop must not end
                if faults == 0:
                    _report(error)
                faults += 1
                await asyncio.sleep(min(MAX_BACKOFF_SECONDS, self._interval * 2**faults))
                continue
            if faults:
                log.info("the dispatcher is at work again", missed_passes=faults)
            faults = 0
            if not is_more:
                await wait()

    async def _sleep(self) -> None:
        await asyncio.sleep(self._interval)

    async def _wait_until_due(self) -> None:
        try:
            await asyncio.wait_for(self._is_due.wait(), self._pause)
        except TimeoutError:
            return
        self._is_due.clear()


def _report(error: Exception) -> None:
    if isinstance(error, psycopg.OperationalError | PoolTimeout):
        log.warning("the dispatcher waits for the database", reason=str(error).strip())
    else:
        log.error("the dispatcher failed and goes on", exc_info=error)
