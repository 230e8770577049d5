"""The loop that forgets: deletes what is old and artifacts nobody points to, a few at a time, so that nobody waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
from psycopg_pool import PoolTimeout

from app.metrics import Metrics
from core import catalogue_changes, feedback, tasks
from core.artifacts import ArtifactStore
from core.database import AsyncPool
from core.log import get_logger
from core.orphans import find_orphans
from core.places import ArtifactsUnavailable
from core.statement import Statement

BATCH: Final = 500
BREATH_SECONDS: Final = 0.2
INTERVAL_SECONDS: Final = 600.0

log = get_logger(__name__)


class Janitor:
    """Any number of copies may run: what one has locked the others skip, and an artifact that is gone is no fault."""

    def __init__(
        self,
        pool: AsyncPool,
        artifacts: ArtifactStore,
        *,
        task_days: float,
        orphan_hours: float,
        impression_days: float = 0,
        metrics: Metrics | None = None,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._pool = pool
        self._artifacts = artifacts
        self._task_days = task_days
        self._orphan_hours = orphan_hours
        self._impression_days = impression_days
        self._deleted = (metrics or Metrics()).deleted
        self._interval = interval_seconds

    async def run(self) -> None:
        """Clean up every now and then until cancelled; a fault is logged and the rest is left for the next time."""
        while True:
            if self._task_days:
                await self._try("tasks", self.forget_tasks)
            if self._impression_days:
                await self._try("impressions", self.forget_impressions)
            if self._orphan_hours:
                await self._try("artifacts", self.collect_orphans)
            await self._try("changes", self.forget_changes)
            await asyncio.sleep(self._interval)

    async def forget_tasks(self) -> int:
        """Delete tasks that are old by now; returns how many that were."""
        return await self._forget(tasks.forget(days=self._task_days, limit=BATCH))

    async def forget_impressions(self) -> int:
        """Delete impressions that are old by now; returns how many that were."""
        return await self._forget(feedback.forget(days=self._impression_days, limit=BATCH))

    async def forget_changes(self) -> int:
        """Delete old notes that items changed; returns how many that were."""
        return await self._forget(catalogue_changes.forget(limit=BATCH))

    async def _forget(self, some: Statement[int]) -> int:
        count = 0
        while True:
            async with self._pool.connection() as connection:
                deleted = await some.run_async(connection)
            count += deleted
            if deleted < BATCH:
                return count
            await asyncio.sleep(BREATH_SECONDS)

    async def collect_orphans(self) -> int:
        """Delete artifacts that nobody points to and that were written long enough ago that nobody will; returns how many.

        A worker points to an artifact moments after it has written it, and no key is given twice (`ArtifactStore.put`): an
        orphan that is old stays one.
        """
        count = 0
        ages = await asyncio.to_thread(self._artifacts.ages)
        limit = datetime.now(UTC) - timedelta(hours=self._orphan_hours)
        old = [key for key, written_at in ages.items() if written_at < limit]
        for start in range(0, len(old), BATCH):
            async with self._pool.connection() as connection:
                orphans = await find_orphans(old[start : start + BATCH]).run_async(connection)
            for key in orphans:
                await asyncio.to_thread(self._artifacts.delete, key)
            count += len(orphans)
        return count

    async def _try(self, what: str, clean_up: Callable[[], Awaitable[int]]) -> None:
        try:
            count = await clean_up()
        except Exception as error:  # whatever it is, the loop must not end
            is_expected = isinstance(error, psycopg.OperationalError | PoolTimeout | ArtifactsUnavailable)
            log.warning(f"old {what} not deleted", reason=str(error).strip(), exc_info=None if is_expected else error)
            return
        self._deleted.labels(what).inc(count)
        if count:
            log.info(f"old {what} deleted", count=count)
