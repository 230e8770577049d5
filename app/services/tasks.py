"""Tasks as clients see them: asked for, followed, listed, cancelled."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg import AsyncConnection

from app.errors import IdempotencyKeyReused, TaskAlreadyActive, TaskEnded, TaskNotFound, Unexpected, UserNotFound
from core import tasks
from core.messages import Payload, RecommendPayload
from core.statement import Statement
from core.tasks import State

_COLUMNS: Final = """id, kind, state, payload, owner, parent_id, priority, attempt, max_attempts, progress, progress_note,
       cancel_requested, error, result, created_at, started_at, finished_at, deadline_at"""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task without what only workers need."""

    id: uuid.UUID
    kind: str
    state: State
    payload: dict[str, Any]
    owner: str
    parent_id: uuid.UUID | None
    priority: int
    attempt: int
    max_attempts: int
    progress: float
    progress_note: str | None
    cancel_requested: bool
    error: dict[str, Any] | None
    result: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime | None


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whose tasks somebody sees: those they asked for and those that make the list of their own user."""

    owner: str
    user_id: str | None


async def submit_task(
    connection: AsyncConnection[Any],
    payload: Payload,
    *,
    owner: str,
    idem_key: str | None,
    deadline_seconds: float | None,
    correlation_id: str,
    is_rung: bool,
) -> TaskRow:
    """The task that does what is asked: a new one, or one that was there already.

    Raises `IdempotencyKeyReused`, `TaskAlreadyActive`, or `UserNotFound` for a list that would be nobody's.
    """
    if isinstance(payload, RecommendPayload) and not await _has_user(connection, payload.user_id):
        raise UserNotFound(payload.user_id)
    for _attempt in range(3):
        submitted = await tasks.submit(
            payload, owner=owner, idem_key=idem_key, deadline_seconds=deadline_seconds, correlation_id=correlation_id, is_rung=is_rung
        ).run_async(connection)
        submitted = submitted or await tasks.find_twin(payload, owner=owner, idem_key=idem_key).run_async(connection)
        if submitted is None:
            continue  # the one in the way has just ended
        if submitted.outcome == "conflicting":
            raise IdempotencyKeyReused(submitted.id)
        if submitted.outcome == "active":
            raise TaskAlreadyActive(payload.kind, submitted.id)
        return await get_task(connection, submitted.id, viewer=None)
    raise Unexpected


async def _has_user(connection: AsyncConnection[Any], user_id: str) -> bool:
    return await Statement("SELECT 1 FROM users WHERE id = %(id)s", {"id": user_id}, bool).run_async(connection)


_READ: Final = (
    "SELECT "
    + _COLUMNS
    + """
FROM tasks WHERE id = %(id)s
  AND (%(owner)s::text IS NULL OR owner = %(owner)s OR (kind = %(user_kind)s AND coalesce_key = %(user_id)s))
"""
)


async def get_task(connection: AsyncConnection[Any], task_id: uuid.UUID, *, viewer: Viewer | None) -> TaskRow:
    """One task; without a viewer, anybody's. Raises `TaskNotFound`, for what the viewer may not see too."""
    params: Mapping[str, object] = {
        "id": task_id,
        "owner": viewer.owner if viewer else None,
        "user_kind": RecommendPayload.kind,
        "user_id": viewer.user_id if viewer else None,
    }
    found = await Statement(_READ, params, lambda rows: TaskRow(**rows[0]) if rows else None).run_async(connection)
    if found is None:
        raise TaskNotFound(task_id)
    return found


_PAGE: Final = (
    "SELECT "
    + _COLUMNS
    + """
FROM tasks
WHERE (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(kind)s::text IS NULL OR kind = %(kind)s)
  AND (%(created_at)s::timestamptz IS NULL OR created_at < %(created_at)s OR (created_at = %(created_at)s AND id > %(id)s::uuid))
ORDER BY created_at DESC, id LIMIT %(limit)s
"""
)


async def list_tasks(
    connection: AsyncConnection[Any],
    *,
    owner: str | None,
    state: State | None,
    kind: str | None,
    before: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> list[TaskRow]:
    """Up to `limit` tasks, newest first, from the one before `before` on."""
    created_at, task_id = before or (None, None)
    params = {"owner": owner, "state": state, "kind": kind, "created_at": created_at, "id": task_id, "limit": limit}
    return await Statement(_PAGE, params, lambda rows: [TaskRow(**row) for row in rows]).run_async(connection)


async def cancel_task(connection: AsyncConnection[Any], task_id: uuid.UUID, *, viewer: Viewer | None) -> TaskRow:
    """Cancel a queued task, ask a running one to stop. Raises `TaskNotFound` or `TaskEnded`."""
    await get_task(connection, task_id, viewer=viewer)
    state = await tasks.request_cancel(task_id).run_async(connection)
    after = await get_task(connection, task_id, viewer=None)
    if state is None:
        raise TaskEnded(task_id, after.state)
    if state == "cancelled":
        await tasks.notify_finished([task_id]).run_async(connection)
    return after
