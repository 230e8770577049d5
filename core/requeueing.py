"""Giving a task that failed or died all its attempts anew: the decision, the deed and its entry in the audit trail as one statement."""

import uuid
from dataclasses import dataclass

from core.statement import Row, Statement
from core.tasks import State
from core.topology import BELL_CHANNEL


@dataclass(frozen=True, slots=True)
class Requeueing:
    """What came of it. `state` is what the task was in before; `active_id` the task of an exclusive kind that is in its way."""

    kind: str
    state: State
    active_id: uuid.UUID | None
    is_done: bool


_REQUEUE = """
WITH before AS (
    SELECT id, kind, state, attempt, error ->> 'code' AS code, (
        SELECT active.id FROM tasks AS active
        WHERE active.kind = tasks.kind AND active.exclusive_key = tasks.exclusive_key AND active.state IN ('queued', 'running')
          AND tasks.state IN ('dead', 'failed')
    ) AS active_id
    FROM tasks WHERE id = %(id)s FOR UPDATE
), requeued AS (
    UPDATE tasks SET state = 'queued', attempt = 0, requeue_count = requeue_count + 1, available_at = clock_timestamp(),
           dispatched_at = NULL, deadline_at = NULL, cancel_requested = false, progress = 0, progress_note = NULL,
           started_at = NULL, finished_at = NULL
    FROM before WHERE tasks.id = before.id AND tasks.state IN ('dead', 'failed') AND before.active_id IS NULL
    RETURNING tasks.id, pg_notify(%(channel)s, queue)
), remembered AS (
    INSERT INTO audit_entries (actor, action, subject, details, correlation_id)
    SELECT %(actor)s, 'task.requeue', 'task:' || before.id,
           jsonb_build_object('kind', kind, 'state', state, 'attempt', attempt, 'error', code), %(correlation_id)s
    FROM before JOIN requeued ON requeued.id = before.id
)
SELECT kind, state, active_id, EXISTS (SELECT 1 FROM requeued) AS is_done FROM before
"""


def requeue(task_id: uuid.UUID, *, actor: str, correlation_id: str | None = None) -> Statement[Requeueing | None]:
    """Queue a dead or failed task again, without its deadline, ring, and remember who asked; None if there is no such task.

    Violates `uq_tasks_exclusive_key` where another task of an exclusive kind became active in this moment.
    """

    def read(rows: list[Row]) -> Requeueing | None:
        return Requeueing(**rows[0]) if rows else None

    params = {"id": task_id, "channel": BELL_CHANNEL, "actor": actor, "correlation_id": correlation_id}
    return Statement(_REQUEUE, params, read)
