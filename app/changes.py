"""Tells coroutines what changes about a task or a list, by one query a second for all that are followed in this process.

A look at the rows costs only while somebody follows; a `NOTIFY` with every lease renewal would cost always, and at the commit,
where notifications stand in line. The end of a task is notified anyway, and so is a new list; these are looked at without delay.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

import psycopg
from psycopg_pool import PoolTimeout

from core.database import AsyncPool
from core.log import get_logger
from core.statement import Statement
from core.tasks import TERMINAL_STATES, State

LOOK_SECONDS: Final = 1.0
QUIET_SECONDS: Final = 10.0

log = get_logger(__name__)


class Seen(Protocol):
    """What a follower sees of something; every change has a higher revision."""

    @property
    def revision(self) -> int: ...

    @property
    def is_last(self) -> bool: ...


KeyT = TypeVar("KeyT", uuid.UUID, str)
SeenT = TypeVar("SeenT", bound=Seen)


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

    @property
    def is_last(self) -> bool:
        return self.state in TERMINAL_STATES


@dataclass(frozen=True, slots=True)
class ListSight:
    """Which list a user has at one moment; its revision is the time it was stored, in microseconds."""

    user_id: str
    list_id: uuid.UUID
    model_version: int | None
    computed_at: datetime
    revision: int
    is_last: bool = False


@dataclass(slots=True)
class _Followed(Generic[SeenT]):
    latest: SeenT | None = None
    is_gone: bool = False
    followers: set[asyncio.Event] = field(default_factory=set)

    def wake(self) -> None:
        for woken in self.followers:
            woken.set()


class Changes(Generic[KeyT, SeenT]):
    """Run `look` in the background and `follow` anywhere."""

    noun: str
    ends_when_gone = True
    """Whether to follow what is not there is in vain."""

    def __init__(self, pool: AsyncPool, *, look_seconds: float = LOOK_SECONDS, quiet_seconds: float = QUIET_SECONDS) -> None:
        self._pool = pool
        self._look_seconds = look_seconds
        self._quiet_seconds = quiet_seconds
        self._followed: dict[KeyT, _Followed[SeenT]] = {}
        self._hurried = asyncio.Event()
        self._is_stopping = False

    async def follow(self, key: KeyT, *, after: int) -> AsyncGenerator[SeenT | None]:
        """What is seen after the revision `after`, and None whenever nothing has changed for a while.

        Ends after the last sight, when the row is gone, and when the process stops.
        """
        with self._following(key) as (followed, woken):
            while not (self._is_stopping or followed.is_gone):
                if followed.latest is not None and followed.latest.revision > after:
                    after = followed.latest.revision
                    yield followed.latest
                    if followed.latest.is_last:
                        return
                    continue
                try:
                    await asyncio.wait_for(woken.wait(), self._quiet_seconds)
                except TimeoutError:
                    yield None
                woken.clear()

    @contextmanager
    def _following(self, key: KeyT) -> Iterator[tuple[_Followed[SeenT], asyncio.Event]]:
        followed, woken = self._followed.setdefault(key, _Followed()), asyncio.Event()
        followed.followers.add(woken)
        try:
            yield followed, woken
        finally:
            followed.followers.discard(woken)
            if not followed.followers:
                self._followed.pop(key, None)

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
                    log.warning(f"cannot look at followed {self.noun}", reason=str(error).strip(), exc_info=None if is_expected else error)
                is_reported = True

    async def _look_once(self) -> None:
        looked_at = list(self._followed)
        if not looked_at:
            return
        async with self._pool.connection() as connection:
            sights = await self._read(looked_at).run_async(connection)
        for key in looked_at:
            followed, sight = self._followed.get(key), sights.get(key)
            if followed is not None and (sight is None or sight != followed.latest):
                followed.latest, followed.is_gone = sight, sight is None and self.ends_when_gone
                followed.wake()

    def _read(self, keys: list[KeyT]) -> Statement[dict[KeyT, SeenT]]:
        raise NotImplementedError

    @property
    def follower_count(self) -> int:
        """How many follow now."""
        return sum(len(followed.followers) for followed in self._followed.values())

    def hurry(self, *keys: KeyT) -> None:
        """Look at once if any of these is followed: it has changed."""
        if not self._followed.keys().isdisjoint(keys):
            self._hurried.set()

    def stop(self) -> None:
        """End what is followed, now and from now on: the process is about to end."""
        self._is_stopping = True
        for followed in self._followed.values():
            followed.wake()


class TaskChanges(Changes[uuid.UUID, Sight]):
    """Followed tasks."""

    noun = "tasks"

    def _read(self, keys: list[uuid.UUID]) -> Statement[dict[uuid.UUID, Sight]]:
        sql = "SELECT id, revision, state, attempt, progress, progress_note, cancel_requested FROM tasks WHERE id = ANY(%(ids)s)"
        return Statement(sql, {"ids": keys}, lambda rows: {row["id"]: Sight(**row) for row in rows})


class ListChanges(Changes[str, ListSight]):
    """Followed lists, by user."""

    noun = "lists"
    ends_when_gone = False  # the first list may be yet to come

    def _read(self, keys: list[str]) -> Statement[dict[str, ListSight]]:
        return Statement(_LISTS, {"ids": keys}, lambda rows: {row["user_id"]: ListSight(**row) for row in rows})


_LISTS = """
SELECT user_id, list_id, model_version_id AS model_version, computed_at, (extract(epoch FROM computed_at) * 1000000)::int8 AS revision
FROM recommendation_lists WHERE user_id = ANY(%(ids)s)
"""
