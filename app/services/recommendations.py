"""Reading the stored list of a user, waiting for a fresh one where that is asked for."""

import uuid
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from app.errors import UserNotFound
from app.notifications import FinishedTasks
from core import lists, tasks
from core.database import AsyncPool, async_transaction
from core.lists import StoredList
from core.messages import RecommendPayload
from core.statement import Statement


@dataclass(frozen=True, slots=True)
class Shown:
    """A list as it is answered: what is stored, and the task under way that will replace it."""

    stored: StoredList
    task_id: uuid.UUID | None


async def read_list(
    pool: AsyncPool, finished: FinishedTasks, *, user_id: str, count: int, wait_seconds: float, owner: str, correlation_id: str
) -> Shown:
    """The stored list. Where it is stale or missing and there is time to wait, a new one is asked for first.

    Raises `UserNotFound`.
    """
    async with pool.connection() as connection:
        shown = await _read(connection, user_id, count)
    if not shown.stored.is_stale or wait_seconds <= 0:
        return shown
    async with async_transaction(pool) as connection:
        submitted = await tasks.submit(RecommendPayload(user_id=user_id), owner=owner, correlation_id=correlation_id).run_async(connection)
    if submitted is not None:
        await finished.wait(submitted.id, seconds=wait_seconds)
    async with pool.connection() as connection:
        return await _read(connection, user_id, count)


# Two branches because each has its own partial index.
_UNDER_WAY = """
SELECT id FROM tasks WHERE state = 'queued' AND kind = %(kind)s AND coalesce_key = %(key)s
UNION ALL
SELECT id FROM tasks WHERE state = 'running' AND kind = %(kind)s AND coalesce_key = %(key)s
LIMIT 1
"""


async def _read(connection: AsyncConnection[Any], user_id: str, count: int) -> Shown:
    stored = await lists.read(user_id, count=count).run_async(connection)
    if stored is None:
        raise UserNotFound(user_id)
    params = {"kind": RecommendPayload.kind, "key": RecommendPayload(user_id=user_id).coalesce_key}
    task_id = await Statement(_UNDER_WAY, params, lambda rows: rows[0]["id"] if rows else None).run_async(connection)
    return Shown(stored, task_id)
