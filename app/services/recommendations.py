"""The list of a user as it is answered: stored, waited for, or the first one of a stranger."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection

from app.errors import UserNotFound
from app.notifications import FinishedTasks
from core import charts, lists, tasks
from core.database import AsyncPool, async_transaction
from core.list_ids import Origin, new_list_id
from core.lists import StoredEntry, StoredList
from core.messages import Payload, RecommendPayload
from core.narrowing import Narrowing
from core.statement import Statement
from core.topology import QueueName


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a request is answered from, and in whose name work is asked for; `ring` wakes a worker through the broker, if there is one."""

    pool: AsyncPool
    finished: FinishedTasks
    ring: Callable[[QueueName, uuid.UUID], None] | None
    owner: str
    correlation_id: str

    async def ask(self, payload: Payload, **options: Any) -> uuid.UUID | None:
        """Submit a task and wake a worker for it; None if another one is in its way."""
        statement = tasks.submit(payload, owner=self.owner, correlation_id=self.correlation_id, is_rung=self.ring is not None, **options)
        async with async_transaction(self.pool) as connection:
            submitted = await statement.run_async(connection)
        if submitted is None:
            return None
        if self.ring is not None and submitted.outcome == "created":
            self.ring(payload.queue, submitted.id)
        return submitted.id


@dataclass(frozen=True, slots=True)
class Shown:
    """A list as it is answered. `is_complete` is False where more was asked for than there was time to compute."""

    user_id: str
    list_id: uuid.UUID
    model_version_id: int | None
    algorithm: str | None
    computed_at: datetime | None
    is_cold: bool
    is_stale: bool
    task_id: uuid.UUID | None
    entries: list[StoredEntry]
    is_complete: bool = True
    hints: tuple[str, ...] = field(default=())


async def read_list(desk: Desk, *, user_id: str, narrowing: Narrowing, wait_seconds: float, is_strict: bool) -> Shown:
    """The list of a user. Where the stored one is stale or missing and there is time to wait, a new one is asked for first.

    Who is not known gets what is popular. Raises `UserNotFound` for them if that is asked for.
    """
    stored = await _read(desk.pool, user_id, narrowing)
    if stored is None:
        if is_strict:
            raise UserNotFound(user_id)
        return await _hinted(desk.pool, await _cold(desk.pool, user_id, narrowing, None), narrowing)
    if stored.is_stale and wait_seconds > 0:
        task_id = await desk.ask(RecommendPayload(user_id=user_id))
        if task_id is not None:
            await desk.finished.wait(task_id, seconds=wait_seconds)
        stored = await _read(desk.pool, user_id, narrowing) or stored
    shown = await _cold(desk.pool, user_id, narrowing, stored) if stored.list_id is None else _shown(stored, stored.list_id)
    return await _hinted(desk.pool, shown, narrowing)


async def _read(pool: AsyncPool, user_id: str, narrowing: Narrowing) -> StoredList | None:
    async with pool.connection() as connection:
        return await lists.read(user_id, narrowing=narrowing).run_async(connection)


def _shown(stored: StoredList, list_id: uuid.UUID) -> Shown:
    return Shown(
        user_id=stored.user_id,
        list_id=list_id,
        model_version_id=stored.model_version_id,
        algorithm=stored.algorithm,
        computed_at=stored.computed_at,
        is_cold=stored.is_cold,
        is_stale=stored.is_stale,
        task_id=stored.task_id,
        entries=stored.entries,
    )


async def _cold(pool: AsyncPool, user_id: str, narrowing: Narrowing, stored: StoredList | None) -> Shown:
    """What is popular, led by the categories the user chose; for a user that is not known, or whose first list is yet to come."""
    async with pool.connection() as connection:
        preferred = await _preferred(user_id).run_async(connection) if stored else ()
        await _count_first(connection)
        entries = await charts.read("popular", narrowing=narrowing, user_id=user_id, preferred=preferred).run_async(connection)
    # The same for a day, so that whoever looks again and again sees no new list where there is none.
    list_id = new_list_id(Origin("cold"), seed=f"{user_id} {datetime.now(UTC).date()}")
    task_id = stored.task_id if stored else None
    return Shown(user_id, list_id, None, None, None, is_cold=True, is_stale=stored is not None, task_id=task_id, entries=entries)


def _preferred(user_id: str) -> Statement[tuple[str, ...]]:
    sql = "SELECT preferred_categories FROM users WHERE id = %(user_id)s"
    return Statement(sql, {"user_id": user_id}, lambda rows: tuple(rows[0]["preferred_categories"]) if rows else ())


async def _count_first(connection: AsyncConnection[Any]) -> None:
    """Workers count the items; before they ever did, there are few enough to do it here."""
    if not await charts.has_counts().run_async(connection):
        await charts.count_items().run_async(connection)


async def _hinted(pool: AsyncPool, shown: Shown, narrowing: Narrowing) -> Shown:
    """The list with what to tell whoever asked for something that cannot be."""
    hints: list[str] = list(shown.hints)
    if narrowing.is_contradictory:
        hints.append(f"year_from ({narrowing.year_from}) is after year_to ({narrowing.year_to}): no item can be in both")
    if narrowing.categories and len(shown.entries) < narrowing.count:
        async with pool.connection() as connection:
            unknown = await charts.unknown_categories(narrowing.categories).run_async(connection)
        hints += [f"no item has the category {category!r}; GET /categories lists those there are" for category in unknown]
        if not shown.entries and not unknown and narrowing.match == "all" and len(narrowing.categories) > 1:
            hints.append("no item left has all of the categories; match=any asks for one of them")
    return replace(shown, hints=tuple(hints)) if hints else shown


async def check_user(pool: AsyncPool, user_id: str) -> None:
    """Raise `UserNotFound` unless there is such a user."""
    statement = Statement("SELECT 1 FROM users WHERE id = %(user_id)s", {"user_id": user_id}, bool)
    async with pool.connection() as connection:
        if not await statement.run_async(connection):
            raise UserNotFound(user_id)


def positions(entries: Sequence[StoredEntry], *, offset: int) -> list[tuple[int, StoredEntry]]:
    """The entries with their places in the whole list, from 1."""
    return list(enumerate(entries, start=offset + 1))
