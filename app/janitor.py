"""The loop that forgets: deletes tasks that ended long ago, a few at a time, so that nobody waits for it."""

import asyncio
from typing import Final

import psycopg
from psycopg_pool import PoolTimeout

from core import tasks
from core.database import AsyncPool
from core.log import get_logger

BATCH: Final = 500
BREATH_SECONDS: Final = 0.2
INTERVAL_SECONDS: Final = 600.0

log = get_logger(__name__)


class Janitor:
    """Any number of copies may run; what one has locked the others skip."""

    def __init__(self, pool: AsyncPool, *, days: float, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._pool = pool
        self._days = days
        self._interval = interval_seconds

    async def run(self) -> None:
        """Clean up every now and then until cancelled; a fault is logged and the rest is left for the next time."""
        while True:
            try:
                count = await self.clean_up()
                if count:
                    log.info("old tasks deleted", count=count, older_than_days=self._days)
            except Exception as error:  # whatever it is, the loop must not end
                is_expected = isinstance(error, psycopg.OperationalError | PoolTimeout)
                log.warning("old tasks not deleted", reason=str(error).strip(), exc_info=None if is_expected else error)
            await asyncio.sleep(self._interval)

    async def clean_up(self) -> int:
        """Delete what is old by now; returns how many tasks that were."""
        count = 0
        while True:
            async with self._pool.connection() as connection:
                deleted = await tasks.forget(days=self._days, limit=BATCH).run_async(connection)
            count += deleted
            if deleted < BATCH:
                return count
            await asyncio.sleep(BREATH_SECONDS)
