"""Tasks as clients see them: asked for, followed, listed, cancelled, requeued."""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from app.actor import Actor
from app.errors import UserNotFound
from app.faults import Unexpected
from app.quota import QueueQuota
from app.task_errors import IdempotencyKeyReused, TaskAlreadyActive, TaskEnded, TaskNotFound, TaskNotRequeueable
from core import requeueing, tasks
from core.messages import Payload, RecommendPayload
from core.requeueing import Requeueing
from core.statement import Statement
from core.tasks import State

_COLUMNS: Final = """id, kind, state, payload, owner, parent_id, priority, attempt, max_attempts, requeue_count, revision,
       progress, progress_note, cancel_requested, error, result, artifact,
       artifact_bytes AS result_bytes, created_at, started_at, finished_at, deadline_at"""


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
    requeue_count: int
    revision: int
    progress: float
    progress_note: str | None
    cancel_requested: bool
    error: dict[str, Any] | None
    result: dict[str, Any] | None
    artifact: str | None
    result_bytes: int | None
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
    quota: QueueQuota | None,
) -> TaskRow:
    """The task that does what is asked: a new one, or one that was there already.

    Raises `IdempotencyKeyReused`, `TaskAlreadyActive`, `TooManyQueuedTasks` if there is a quota, or `UserNotFound` for a
    list that would be nobody's.
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
        if submitted.outcome == "created" and quota is not None:
            await quota.take(connection, owner)
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


@dataclass(frozen=True, slots=True)
class Children:
    """The tasks that a task submitted: how many there are in each state, and the share done of all of them together, 0 to 1."""

    total: int
    ended: int
    progress: float
    states: dict[State, int]


_CHILDREN = "SELECT state, count(*) AS count, sum(progress) AS progress FROM tasks WHERE parent_id = %(id)s GROUP BY state"


async def sum_up_children(connection: AsyncConnection[Any], task_id: uuid.UUID) -> Children:
    """What became of the tasks that this one submitted; one that has ended is done, however it ended."""
    rows = await Statement(_CHILDREN, {"id": task_id}, list).run_async(connection)
    total, ended = sum(row["count"] for row in rows), sum(row["count"] for row in rows if row["state"] in tasks.TERMINAL_STATES)
    under_way = sum(row["progress"] for row in rows if row["state"] not in tasks.TERMINAL_STATES)
    return Children(total, ended, (ended + under_way) / total if total else 0.0, {row["state"]: row["count"] for row in rows})


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which tasks are listed; None leaves a column open."""

    owner: str | None = None
    states: Sequence[State] | None = None
    kinds: Sequence[str] | None = None
    parent_id: uuid.UUID | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


_CONDITIONS: Final[dict[str, LiteralString]] = {
    "owner": "owner = %(owner)s",
    "states": "state = ANY(%(states)s)",
    "kinds": "kind = ANY(%(kinds)s)",
    "parent_id": "parent_id = %(parent_id)s",
    "created_after": "created_at >= %(created_after)s",
    "created_before": "created_at < %(created_before)s",
    "before": "(created_at < %(before)s OR (created_at = %(before)s AND id > %(before_id)s))",
}
"""Only those that are asked for become part of the statement, so that the planner sees which index serves it."""


async def list_tasks(
    connection: AsyncConnection[Any], wanted: Filter, *, before: tuple[datetime, uuid.UUID] | None, limit: int
) -> list[TaskRow]:
    """Up to `limit` tasks, newest first, from the one before `before` on."""
    given = {name: getattr(wanted, name) for name in Filter.__dataclass_fields__}
    given["before"], given["before_id"] = before or (None, None)
    conditions: list[LiteralString] = [condition for name, condition in _CONDITIONS.items() if given[name] is not None]
    where: LiteralString = " AND ".join(conditions) or "true"
    statement = "SELECT " + _COLUMNS + " FROM tasks WHERE " + where + " ORDER BY created_at DESC, id LIMIT %(limit)s"  # noqa: S608 (constants)
    params = {**given, "limit": limit}
    return await Statement(statement, params, lambda rows: [TaskRow(**row) for row in rows]).run_async(connection)


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


async def requeue_task(connection: AsyncConnection[Any], task_id: uuid.UUID, *, actor: Actor) -> TaskRow:
    """Start a failed or dead task over and remember who asked, both or neither.

    Raises `TaskNotFound`, `TaskNotRequeueable`, or `TaskAlreadyActive` for an exclusive kind.
    """
    found = await _requeue(connection, task_id, actor)
    if found is None:
        raise TaskNotFound(task_id)
    if found.active_id is not None:
        raise TaskAlreadyActive(found.kind, found.active_id)
    if not found.is_done:
        raise TaskNotRequeueable(task_id, found.state)
    return await get_task(connection, task_id, viewer=None)


async def _requeue(connection: AsyncConnection[Any], task_id: uuid.UUID, actor: Actor) -> Requeueing | None:
    statement = requeueing.requeue(task_id, actor=actor.account_id, correlation_id=actor.correlation_id)
    for _attempt in range(3):
        with suppress(UniqueViolation):  # another one became active in this moment: it is seen the next time
            async with connection.transaction():
                return await statement.run_async(connection)
    raise Unexpected
