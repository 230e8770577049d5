"""Tells coroutines that a task has ended: one LISTEN connection for the whole process."""

import asyncio
import contextlib
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from core.database import AsyncPool
from core.log import get_logger
from core.statement import Statement
from core.tasks import TERMINAL_STATES
from core.topology import BELL_CHANNEL, FINISHED_CHANNEL, LISTS_CHANNEL

RECONNECT_SECONDS: Final = 0.5
RECHECK_SECONDS: Final = 5.0
# A connection that only listens would never notice that the other end is gone.
KEEPALIVE: Final[dict[str, Any]] = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "connect_timeout": 5}

log = get_logger(__name__)


class FinishedTasks:
    """Run `listen` in the background and `wait` anywhere.

    `on_bell` is called when a task becomes due without having been rung, `on_finished` with what may have ended, `on_lists` with
    the users whose lists were stored.
    """

    def __init__(
        self,
        url: str,
        pool: AsyncPool,
        *,
        on_bell: Callable[[], None] | None = None,
        on_finished: Callable[..., None] | None = None,
        on_lists: Callable[..., None] | None = None,
    ) -> None:
        self._url = url
        self._pool = pool
        self._on_bell = on_bell
        self._on_finished = on_finished
        self._on_lists = on_lists
        self._waiting: defaultdict[uuid.UUID, set[asyncio.Event]] = defaultdict(set)
        self._is_stopping = False
        self.is_listening = False

    async def listen(self) -> None:
        """Hear notifications until cancelled, through every restart of the database."""
        is_reported = False
        while True:
            try:
                async with await AsyncConnection.connect(self._url, autocommit=True, **KEEPALIVE) as connection:
                    await connection.execute(SQL("LISTEN {}").format(Identifier(FINISHED_CHANNEL)))
                    if self._on_lists is not None:
                        await connection.execute(SQL("LISTEN {}").format(Identifier(LISTS_CHANNEL)))
                    if self._on_bell is not None:
                        await connection.execute(SQL("LISTEN {}").format(Identifier(BELL_CHANNEL)))
                    is_reported = False
                    await self._hear(connection)
            except Exception as error:  # whatever it is, the loop must not end
                if not is_reported:
                    log.warning(
                        "not listening for finished tasks", reason=str(error).strip(), exc_info=not isinstance(error, psycopg.Error)
                    )
                is_reported = True
            finally:
                self.is_listening = False
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _hear(self, connection: AsyncConnection[Any]) -> None:
        self.is_listening = True
        self._wake(*self._waiting)  # something may have ended while nobody listened
        async for notification in connection.notifies():
            if notification.channel == BELL_CHANNEL and self._on_bell is not None:
                self._on_bell()
                continue
            if notification.channel == LISTS_CHANNEL and self._on_lists is not None:
                self._on_lists(*notification.payload.split(","))
                continue
            with contextlib.suppress(ValueError):
                self._wake(*(uuid.UUID(text) for text in notification.payload.split(",")))

    def _wake(self, *task_ids: uuid.UUID) -> None:
        if self._on_finished is not None:
            self._on_finished(*task_ids)
        for task_id in task_ids:
            for event in self._waiting.get(task_id, ()):
                event.set()

    @property
    def waiting_count(self) -> int:
        """How many wait now."""
        return sum(len(events) for events in self._waiting.values())

    def stop_waiting(self) -> None:
        """Let all who wait go on, now and from now on: the process is about to end."""
        self._is_stopping = True
        self._wake(*self._waiting)

    async def wait(self, task_id: uuid.UUID, *, seconds: float) -> None:
        """Return when the task has ended, the time is up or the process stops; the caller reads what became of it."""
        deadline = time.monotonic() + seconds
        with self._subscription(task_id) as woken:
            # Looked at after subscribing and again after every wake-up, so that no end is missed.
            while not await self._has_ended(task_id):
                remaining = deadline - time.monotonic()
                if remaining <= 0 or self._is_stopping:
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), min(remaining, RECHECK_SECONDS))
                woken.clear()

    @contextlib.contextmanager
    def _subscription(self, task_id: uuid.UUID) -> Iterator[asyncio.Event]:
        woken = asyncio.Event()
        self._waiting[task_id].add(woken)
        try:
            yield woken
        finally:
            self._waiting[task_id].discard(woken)
            if not self._waiting[task_id]:
                del self._waiting[task_id]

    async def _has_ended(self, task_id: uuid.UUID) -> bool:
        statement = Statement(
            "SELECT 1 FROM tasks WHERE id = %(id)s AND state <> ALL(%(states)s::text[])",
            {"id": task_id, "states": sorted(TERMINAL_STATES)},
            lambda rows: not rows,
        )
        async with self._pool.connection() as connection:
            return await statement.run_async(connection)
