"""The state of queues, schedules and the live model as gauges, by queries that are made no more often than it is cheap."""

import asyncio
import math
import time
from typing import Any, Final

import psycopg
from psycopg_pool import PoolTimeout

from app.metrics import Metrics
from core.database import AsyncPool
from core.statement import Row, Statement, first_or_none
from core.topology import QUEUE_NAMES

LOOK_SECONDS: Final = 5.0
FRESH_SECONDS: Final = 3.0
SHARE: Final = 0.02
"""Of the time of one connection, what looking may cost: a look that took 0.2 s is good for 10 s."""

_LOOK: Final = """
SELECT queue, 'queued' AS state, count(*) AS count, extract(epoch FROM clock_timestamp() - min(available_at))::float8 AS age
FROM tasks WHERE state = 'queued' GROUP BY queue
UNION ALL
SELECT queue, 'running', count(*), NULL FROM tasks WHERE state = 'running' GROUP BY queue
"""

_SCHEDULES: Final = """
SELECT name, extract(epoch FROM last_fired_at)::float8 AS fired_at,
       greatest(extract(epoch FROM last_fired_at - last_due_at), extract(epoch FROM clock_timestamp() - next_fire_at), 0)::float8 AS lag
FROM schedules WHERE is_enabled ORDER BY name LIMIT 1000
"""

_LIVE_MODEL: Final = """
SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 AS age FROM model_versions WHERE status = 'live'
"""


class QueueGauges:
    """Call `refresh` before metrics are rendered. Where the database does not answer the gauges are left out rather than old."""

    def __init__(self, pool: AsyncPool, metrics: Metrics) -> None:
        self._pool = pool
        self._metrics = metrics
        self._good_until = 0.0
        self._looking = asyncio.Lock()

    async def refresh(self) -> None:
        """Look again, unless the last look is still good."""
        async with self._looking:
            began = time.monotonic()
            if began < self._good_until:
                return
            try:
                async with asyncio.timeout(LOOK_SECONDS), self._pool.connection() as connection:
                    rows = await Statement(_LOOK, {}, lambda rows: rows).run_async(connection)
                    live = await Statement(_LIVE_MODEL, {}, first_or_none).run_async(connection)
                    schedules = await Statement(_SCHEDULES, {}, lambda rows: rows).run_async(connection)
            except (psycopg.Error, PoolTimeout, TimeoutError):
                self._metrics.queue_tasks.clear()
                self._metrics.queue_age.clear()
                self._metrics.live_model_age.set(math.nan)
                self._clear_schedules()
            else:
                self._set(rows)
                self._metrics.live_model_age.set(live["age"] if live else math.inf)
                self._set_schedules(schedules)
            now = time.monotonic()
            self._good_until = now + max(FRESH_SECONDS, (now - began) / SHARE)

    def _set(self, rows: list[Row]) -> None:
        found: dict[tuple[Any, Any], Row] = {(row["queue"], row["state"]): row for row in rows}
        for queue in QUEUE_NAMES:
            for state in ("queued", "running"):
                row = found.get((queue, state))
                self._metrics.queue_tasks.labels(queue, state).set(row["count"] if row else 0)
            oldest = found.get((queue, "queued"))
            self._metrics.queue_age.labels(queue).set(max(oldest["age"], 0.0) if oldest else 0.0)

    def _clear_schedules(self) -> None:
        self._metrics.schedule_fired_at.clear()
        self._metrics.schedule_lag.clear()

    def _set_schedules(self, rows: list[Row]) -> None:
        self._clear_schedules()  # of those that are gone
        for row in rows:
            if row["fired_at"] is not None:
                self._metrics.schedule_fired_at.labels(row["name"]).set(row["fired_at"])
            self._metrics.schedule_lag.labels(row["name"]).set(row["lag"])
