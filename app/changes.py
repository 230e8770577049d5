"""Tells coroutines what changes about a task, by one query a second for all that are followed in this process.

A look at the rows costs only while somebody follows; a `NOTIFY` with every lease renewal would cost always, and at the commit,
where notifications stand in line. The end of a task is notified anyway, and looked at without delay.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import psycopg
from psycopg_pool import PoolTimeout

from core.database import AsyncPool
from core.log import get_logger
from core.statement import Statement
from core.tasks import TERMINAL_STATES, State

LOOK_SECONDS: Final = 1.0
QUIET_SECONDS: Final = 10.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a follower sees of a task at one moment; every change has a higher revision."""

    id: uuid.UUID
    revision: int
    state: State
    attempt: int
    progress: float
    progress_note: str | None
    cancel_requested: bool


@dataclass(slots=True)
class _Followed:
    latest: Sight | None = None
    is_gone: bool = False
    followers: set[asyncio.Event] = field(default_factory=set)

    def wake(self) -> None:
        for woken in self.followers:
            woken.set()


class TaskChanges:
    """Run `look` in the background and `follow` anywhere."""

    def __init__(self, pool: AsyncPool, *, look_seconds: float = LOOK_SECONDS, quiet_seconds: float = QUIET_SECONDS) -> None:
        self._pool = pool
        self._look_seconds = look_seconds
        self._quiet_seconds = quiet_seconds
        self._followed: dict[uuid.UUID, _Followed] = {}
        self._hurried = asyncio.Event()
        self._is_stopping = False

    async def follow(self, task_id: uuid.UUID, *, after: int) -> AsyncGenerator[Sight | None]:
        """What is seen of the task after the revision `after`, and None whenever nothing has changed for a while.

        Ends after the end of the task, when its row is gone, and when the process stops.
        """
        with self._following(task_id) as (followed, woken):
            while not (self._is_stopping or followed.is_gone):
                if followed.latest is not None and followed.latest.revision > after:
                    after = followed.latest.revision
                    yield followed.latest
                    if followed.latest.state in TERMINAL_STATES:
                        return
                    continue
                try:
                    await asyncio.wait_for(woken.wait(), self._quiet_seconds)
                except TimeoutError:
                    yield None
                woken.clear()

    @contextmanager
    def _following(self, task_id: uuid.UUID) -> Iterator[tuple[_Followed, asyncio.Event]]:
        followed, woken = self._followed.setdefault(task_id, _Followed()), asyncio.Event()
        followed.followers.add(woken)
        try:
            yield followed, woken
        finally:
            followed.followers.discard(woken)
            if not followed.followers:
                self._followed.pop(task_id, None)

    async def look(self) -> None:
        """Look at what is followed until cancelled, through every loss of the database."""
        is_reported = False
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurried.wait(), self._look_seconds)
            self._hurried.clear()
            try:
                await self._look_once()
                is_reported = False
            except Exception as error:  # whatever it is, the loop must not end
                if not is_reported:
                    is_expected = isinstance(error, psycopg.OperationalError | PoolTimeout)
                    log.warning("cannot look at followed tasks", reason=str(error).strip(), exc_info=None if is_expected else error)
                is_reported = True

    async def _look_once(self) -> None:
        looked_at = list(self._followed)
        if not looked_at:
            return
        async with self._pool.connection() as connection:
            sights = await _read(looked_at).run_async(connection)
        for task_id in looked_at:
            followed, sight = self._followed.get(task_id), sights.get(task_id)
            if followed is not None and (sight is None or sight != followed.latest):
                followed.latest, followed.is_gone = sight, sight is None
                followed.wake()

    @property
    def follower_count(self) -> int:
        """How many follow now."""
        return sum(len(followed.followers) for followed in self._followed.values())

    def hurry(self, *task_ids: uuid.UUID) -> None:
        """Look at once if any of these is followed: it has ended."""
        if not self._followed.keys().isdisjoint(task_ids):
            self._hurried.set()

    def stop(self) -> None:
        """End what is followed, now and from now on: the process is about to end."""
        self._is_stopping = True
        for followed in self._followed.values():
            followed.wake()


_READ = """
SELECT id, revision, state, attempt, progress, progress_note, cancel_requested FROM tasks WHERE id = ANY(%(ids)s)
"""


def _read(task_ids: list[uuid.UUID]) -> Statement[dict[uuid.UUID, Sight]]:
    return Statement(_READ, {"ids": task_ids}, lambda rows: {row["id"]: Sight(**row) for row in rows})
