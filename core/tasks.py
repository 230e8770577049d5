"""The life of a task seen from outside, as statements: submit, cancel, reap, ring. `core.claims` is the worker's side.

Time is the database's `clock_timestamp()` only.
"""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from psycopg.types.json import Jsonb

from core.messages import Payload
from core.statement import Row, Statement
from core.topology import BELL_CHANNEL, FINISHED_CHANNEL, QueueName

State = Literal["queued", "running", "succeeded", "failed", "cancelled", "expired", "dead"]
TERMINAL_STATES: frozenset[State] = frozenset({"succeeded", "failed", "cancelled", "expired", "dead"})


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a submission."""

    id: uuid.UUID
    outcome: Literal["created", "repeated", "conflicting", "coalesced", "active"]
    """`repeated`: same idempotency key and body. `conflicting`: same key, other body. `coalesced`: a queued task
    already promises the same. `active`: an exclusive task of this kind is queued or running."""


def request_hash(payload: Payload) -> str:
    """SHA-256 over kind, version and canonical payload: equal requests have equal hashes."""
    body = json.dumps([payload.kind, payload.version, payload.model_dump(mode="json")], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()


# One statement, so that one round trip submits. The order of the branches matters:
# - `held` locks a queued twin until our commit. Without the lock a worker could claim it and read the data before
#   what this transaction writes is visible, and the promise "a refresh will see this" would be broken.
#   A twin that somebody else has locked is skipped: then a second task is harmless and a lost one is not.
#   So is one that waits for a retry or may expire: what is asked for now shall not wait for it.
# - `ON CONFLICT DO NOTHING` covers both unique indexes (idempotency key and exclusive key).
_SUBMIT = """
WITH held AS (
    SELECT id FROM tasks
    WHERE kind = %(kind)s AND coalesce_key = %(coalesce_key)s AND state = 'queued' AND NOT cancel_requested
      AND available_at <= clock_timestamp() AND deadline_at IS NULL AND %(idem_key)s::text IS NULL
    LIMIT 1 FOR SHARE SKIP LOCKED
), inserted AS (
    INSERT INTO tasks (kind, queue, payload, payload_version, owner, parent_id, idem_key, request_hash,
                       exclusive_key, coalesce_key, priority, max_attempts, dispatched_at, deadline_at, correlation_id)
    SELECT %(kind)s, %(queue)s, %(payload)s, %(payload_version)s, %(owner)s, %(parent_id)s::uuid, %(idem_key)s, %(request_hash)s,
           %(exclusive_key)s, %(coalesce_key)s, %(priority)s, %(max_attempts)s,
           CASE WHEN %(is_rung)s THEN clock_timestamp() END,
           clock_timestamp() + %(deadline_seconds)s::float8 * interval '1 second', %(correlation_id)s
    WHERE NOT EXISTS (SELECT 1 FROM held)
    ON CONFLICT DO NOTHING
    RETURNING id, CASE WHEN NOT %(is_rung)s THEN pg_notify(%(channel)s, queue) END
)
SELECT id, 'created' AS outcome FROM inserted
UNION ALL
SELECT id, 'coalesced' FROM held
"""

_FIND_TWIN = """
SELECT id, CASE
         WHEN idem_key IS NOT DISTINCT FROM %(idem_key)s AND owner = %(owner)s AND idem_key IS NOT NULL
         THEN CASE WHEN request_hash = %(request_hash)s THEN 'repeated' ELSE 'conflicting' END
         ELSE 'active' END AS outcome
FROM tasks
WHERE (owner = %(owner)s AND idem_key = %(idem_key)s)
   OR (kind = %(kind)s AND exclusive_key = %(exclusive_key)s AND state IN ('queued', 'running'))
ORDER BY (idem_key IS NOT DISTINCT FROM %(idem_key)s AND owner = %(owner)s AND idem_key IS NOT NULL) DESC
LIMIT 1
"""


def _submitted(rows: list[Row]) -> Submitted | None:
    return Submitted(rows[0]["id"], rows[0]["outcome"]) if rows else None


def submit(
    payload: Payload,
    *,
    owner: str,
    idem_key: str | None = None,
    parent_id: uuid.UUID | None = None,
    priority: int = 0,
    deadline_seconds: float | None = None,
    correlation_id: str | None = None,
    is_rung: bool = False,
) -> Statement[Submitted | None]:
    """Insert a task and ring its queue's bell when the transaction commits.

    `is_rung` says that the caller rings the broker itself after the commit; if it dies before, the dispatcher rings later.
    `None` means that a unique key was in the way: `find_twin` with the same arguments says which task holds it.
    """
    return Statement(
        _SUBMIT,
        {
            "kind": payload.kind,
            "queue": payload.queue,
            "payload": Jsonb(payload.model_dump(mode="json")),
            "payload_version": payload.version,
            "owner": owner,
            "parent_id": parent_id,
            "idem_key": idem_key,
            "request_hash": request_hash(payload),
            "exclusive_key": payload.exclusive_key,
            "coalesce_key": payload.coalesce_key,
            "priority": priority,
            "max_attempts": payload.max_attempts,
            "deadline_seconds": deadline_seconds,
            "correlation_id": correlation_id,
            "is_rung": is_rung,
            "channel": BELL_CHANNEL,
        },
        _submitted,
    )


def find_twin(payload: Payload, *, owner: str, idem_key: str | None = None) -> Statement[Submitted | None]:
    """The task that kept `submit` from inserting: same idempotency key, or the active one of an exclusive kind."""
    return Statement(
        _FIND_TWIN,
        {
            "kind": payload.kind,
            "owner": owner,
            "idem_key": idem_key,
            "request_hash": request_hash(payload),
            "exclusive_key": payload.exclusive_key,
        },
        _submitted,
    )


def notify_finished(ids: Sequence[uuid.UUID]) -> Statement[None]:
    """Wake whoever waits for these tasks, when the transaction commits; one notification for a batch."""
    # PostgreSQL limits a notification to 8,000 bytes: 200 ids of 36 characters and a comma fit.
    groups = [",".join(str(task_id) for task_id in ids[start : start + 200]) for start in range(0, len(ids), 200)]
    return Statement(
        "SELECT pg_notify(%(channel)s, message) FROM unnest(%(messages)s::text[]) AS message",
        {"channel": FINISHED_CHANNEL, "messages": groups},
        lambda _rows: None,
    )


_REQUEST_CANCEL = """
UPDATE tasks SET
    cancel_requested = true,
    state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
    finished_at = CASE WHEN state = 'queued' THEN clock_timestamp() END
WHERE id = %(id)s AND state IN ('queued', 'running')
RETURNING state
"""


def request_cancel(task_id: uuid.UUID) -> Statement[State | None]:
    """Cancel a queued task at once and ask a running one to stop. Returns the new state, None if it had ended."""
    return Statement(_REQUEST_CANCEL, {"id": task_id}, lambda rows: rows[0]["state"] if rows else None)


# The error stays until the task ends otherwise: it tells the story so far, and that a task which killed its worker is claimed alone.
# By the time of creation because that has an index: whatever ended before a moment was created before it. `now()`, because
# an index is of no use for a time that may change from row to row.
_FORGET = """
DELETE FROM tasks WHERE id IN (
    SELECT id FROM tasks
    WHERE created_at < now() - %(days)s * interval '1 day' AND finished_at < now() - %(days)s * interval '1 day'
    ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING id
"""


def forget(*, days: float, limit: int = 500) -> Statement[int]:
    """Delete up to `limit` tasks that ended longer ago than so many days; returns how many."""
    return Statement(_FORGET, {"days": days, "limit": limit}, len)


# `attempts` keeps what every attempt ended with; code and message are the latest.
ATTEMPT_ERROR = """jsonb_build_object('code', %(code)s::text, 'message', %(message)s::text, 'attempts',
    coalesce(error -> 'attempts', '[]'::jsonb) || jsonb_build_object(
        'attempt', attempt, 'code', %(code)s::text, 'message', %(message)s::text, 'at', clock_timestamp()))"""

_REAP = (
    """
WITH lapsed AS (
    SELECT id AS lapsed_id FROM tasks
    WHERE (state = 'running' AND lease_until < clock_timestamp())
       OR (state = 'queued' AND deadline_at < clock_timestamp())
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE tasks SET
    state = CASE WHEN state = 'queued' THEN 'expired'
                 WHEN cancel_requested THEN 'cancelled'
                 WHEN attempt >= max_attempts THEN 'dead'
                 ELSE 'queued' END,
    finished_at = CASE WHEN state = 'queued' OR cancel_requested OR attempt >= max_attempts THEN clock_timestamp() END,
    available_at = clock_timestamp(), dispatched_at = NULL, lease_owner = NULL, lease_until = NULL,
    error = CASE WHEN state = 'queued' THEN jsonb_build_object('code', 'expired', 'message', 'the deadline passed before a worker started')
                 ELSE """
    + ATTEMPT_ERROR
    + """ END
FROM lapsed WHERE id = lapsed_id
RETURNING id, queue, state
"""
)


@dataclass(frozen=True, slots=True)
class Reaped:
    """What a reaping pass found: tasks given back to their queues, and tasks that ended."""

    requeued: dict[uuid.UUID, QueueName]
    ended: dict[uuid.UUID, State]


def reap(*, limit: int = 1000) -> Statement[Reaped]:
    """Take tasks from workers whose lease lapsed, and expire queued tasks whose deadline passed."""

    def read(rows: list[Row]) -> Reaped:
        return Reaped(
            requeued={row["id"]: row["queue"] for row in rows if row["state"] == "queued"},
            ended={row["id"]: row["state"] for row in rows if row["state"] != "queued"},
        )

    params = {"limit": limit, "code": "lease_expired", "message": "the worker stopped renewing its lease"}
    return Statement(_REAP, params, read)


def ring(queues: Sequence[QueueName]) -> Statement[None]:
    """Wake the workers of these queues when the transaction commits."""
    return Statement(
        "SELECT pg_notify(%(channel)s, queue) FROM unnest(%(queues)s::text[]) AS queue",
        {"channel": BELL_CHANNEL, "queues": list(queues)},
        lambda _rows: None,
    )


# Fair between owners: everybody's most urgent task comes before anybody's second. The owners are found by hopping from
# one to the next in the index, so that a backlog of a million tasks of one owner costs no more than one of ten.
_DUE_RINGS = """
WITH RECURSIVE owners AS (
    (SELECT owner FROM tasks WHERE queue = %(queue)s AND state = 'queued' AND dispatched_at IS NULL ORDER BY owner LIMIT 1)
    UNION ALL
    SELECT (SELECT tasks.owner FROM tasks WHERE queue = %(queue)s AND state = 'queued' AND dispatched_at IS NULL
              AND tasks.owner > owners.owner ORDER BY tasks.owner LIMIT 1)
    FROM owners WHERE owners.owner IS NOT NULL
), room AS (
    SELECT greatest(%(window)s - count(*), 0) AS places FROM tasks
    WHERE queue = %(queue)s AND state = 'queued' AND dispatched_at > clock_timestamp() - %(patience_seconds)s * interval '1 second'
), waiting AS (
    SELECT first.id, first.priority, first.available_at, first.turn
    FROM owners CROSS JOIN LATERAL (
        SELECT id, priority, available_at, row_number() OVER (ORDER BY priority DESC, available_at) AS turn
        FROM tasks
        WHERE queue = %(queue)s AND tasks.owner = owners.owner AND state = 'queued' AND dispatched_at IS NULL
          AND available_at <= clock_timestamp() AND NOT cancel_requested
        ORDER BY priority DESC, available_at LIMIT %(window)s
    ) AS first
    UNION ALL
    SELECT id, priority, available_at, 0 FROM tasks
    WHERE queue = %(queue)s AND state = 'queued' AND dispatched_at <= clock_timestamp() - %(patience_seconds)s * interval '1 second'
), chosen AS (
    SELECT tasks.id, turn FROM tasks JOIN waiting USING (id)
    ORDER BY waiting.priority DESC, turn, waiting.available_at
    LIMIT (SELECT places FROM room) FOR UPDATE OF tasks SKIP LOCKED
)
UPDATE tasks SET dispatched_at = clock_timestamp() FROM chosen WHERE tasks.id = chosen.id AND state = 'queued'
RETURNING tasks.id, extract(epoch FROM clock_timestamp() - available_at)::float8 AS waited_seconds, turn = 0 AS is_repeated
"""


@dataclass(frozen=True, slots=True)
class DueRing:
    """A task to ring for, how long it has been due, and whether it was rung before in vain."""

    id: uuid.UUID
    waited_seconds: float
    is_repeated: bool


def take_rings(queue: QueueName, *, window: int, patience_seconds: float) -> Statement[list[DueRing]]:
    """Mark due tasks as rung and return them, fairly between owners, as many as keep at most `window` of the queue rung for.

    A task that was rung more than `patience_seconds` ago and is still queued is taken again: its ring may be lost.
    """
    params = {"queue": queue, "window": window, "patience_seconds": patience_seconds}
    return Statement(_DUE_RINGS, params, lambda rows: [DueRing(**row) for row in rows])


def unring(task_ids: Sequence[uuid.UUID]) -> Statement[None]:
    """Take back the mark of tasks whose ring could not be published, so that the next pass rings them."""
    return Statement(
        "UPDATE tasks SET dispatched_at = NULL WHERE id = ANY(%(ids)s) AND state = 'queued'", {"ids": list(task_ids)}, lambda _rows: None
    )
