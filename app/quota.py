"""Keeps one owner from filling the queues: so many tasks may be queued at once, and counting them stays cheap."""

import time
from typing import Any, Final

from psycopg import AsyncConnection

from app.task_errors import TooManyQueuedTasks
from core.statement import Statement

UNCOUNTED_SHARE: Final = 4
FULL_SECONDS: Final = 1.0

# Stops counting at the cap, however many there are.
_COUNT = """
SELECT count(*) AS queued FROM (SELECT 1 FROM tasks WHERE owner = %(owner)s AND state = 'queued' LIMIT %(limit)s) AS counted
"""


class QueueQuota:
    """At most `cap` queued tasks an owner; 0 means any number.

    Counted again only when a quarter of the room that was found has been used up by this process: close to the cap every
    time, far from it seldom. Whoever was found to have no room is believed to have none for a second. Several processes may
    together exceed the cap for as long as their quarters last.
    """

    def __init__(self, cap: int, *, full_seconds: float = FULL_SECONDS) -> None:
        self._cap = cap
        self._full_seconds = full_seconds
        self._uncounted: dict[str, int] = {}
        self._full_until: dict[str, float] = {}

    async def take(self, connection: AsyncConnection[Any], owner: str) -> None:
        """Account for a task that was inserted in this transaction. Raises `TooManyQueuedTasks`, which takes it back."""
        if self._cap == 0:
            return
        if time.monotonic() < self._full_until.get(owner, 0.0):
            raise TooManyQueuedTasks
        uncounted = self._uncounted.get(owner, 0)
        if uncounted == 0:
            queued = await self._count(connection, owner)
            if queued > self._cap:
                self._full_until[owner] = time.monotonic() + self._full_seconds
                raise TooManyQueuedTasks
            self._full_until.pop(owner, None)
            uncounted = (self._cap - queued) // UNCOUNTED_SHARE + 1
        self._uncounted[owner] = uncounted - 1

    async def room(self, connection: AsyncConnection[Any], owner: str) -> int | None:
        """How many more tasks the owner may queue; None for any number."""
        if self._cap == 0:
            return None
        self._uncounted.pop(owner, None)  # whatever is taken now is counted next time
        return max(self._cap - await self._count(connection, owner), 0)

    async def _count(self, connection: AsyncConnection[Any], owner: str) -> int:
        params = {"owner": owner, "limit": self._cap + 1}
        return await Statement(_COUNT, params, lambda rows: int(rows[0]["queued"])).run_async(connection)
