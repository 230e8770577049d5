"""The life of a task as statements: submit, claim, renew, complete, fail, release, cancel, reap.

Time is the database's `clock_timestamp()` only. Every write by a worker names the fence it was given by `claim`;
a worker whose lease was lost writes nothing.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

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


@dataclass(frozen=True, slots=True)
class Claimed:
    """A task that this worker may run until its lease ends."""

    id: uuid.UUID
    kind: str
    payload: dict[str, Any]
    payload_version: int
    owner: str
    attempt: int
    max_attempts: int
    fence: int
    correlation_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """What a lease renewal carries: the share done (0 to 1) and a note for people."""

    id: uuid.UUID
    fence: int
    done: float = 0.0
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a finished task under the fence it was claimed with."""

    id: uuid.UUID
    fence: int
    result: Mapping[str, Any]


def request_hash(payload: Payload) -> str:
    """SHA-256 over kind, version and canonical payload: equal requests have equal hashes."""
    body = json.dumps([payload.kind, payload.version, payload.model_dump(mode="json")], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()


# One statement, so that one round trip submits. The order of the branches matters:
# - `held` locks a queued twin until our commit. Without the lock a worker could claim it and read the data before
#   what this transaction writes is visible, and the promise "a refresh will see this" would be broken.
#   A twin that somebody else has locked is skipped: then a second task is harmless and a lost one is not.
# - `ON CONFLICT DO NOTHING` covers both unique indexes (idempotency key and exclusive key).
_SUBMIT = """
WITH held AS (
    SELECT id FROM tasks
    WHERE kind = %(kind)s AND coalesce_key = %(coalesce_key)s AND state = 'queued' AND NOT cancel_requested
      AND %(idem_key)s::text IS NULL
    LIMIT 1 FOR SHARE SKIP LOCKED
), inserted AS (
    INSERT INTO tasks (kind, queue, payload, payload_version, owner, parent_id, idem_key, request_hash,
                       exclusive_key, coalesce_key, priority, max_attempts, deadline_at, correlation_id)
    SELECT %(kind)s, %(queue)s, %(payload)s, %(payload_version)s, %(owner)s, %(parent_id)s::uuid, %(idem_key)s, %(request_hash)s,
           %(exclusive_key)s, %(coalesce_key)s, %(priority)s, %(max_attempts)s,
           clock_timestamp() + %(deadline_seconds)s::float8 * interval '1 second', %(correlation_id)s
    WHERE NOT EXISTS (SELECT 1 FROM held)
    ON CONFLICT DO NOTHING
    RETURNING id, pg_notify(%(channel)s, queue)
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
) -> Statement[Submitted | None]:
    """Insert a task and ring its queue's bell when the transaction commits.

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


# A task whose last attempt ended with its worker is claimed alone, so that a poisonous one takes no neighbours down.
_CLAIM = """
WITH due AS (
    SELECT id, coalesce(error ->> 'code', '') = 'lease_expired' AS is_suspect, priority, available_at
    FROM tasks
    WHERE state = 'queued' AND queue = %(queue)s AND available_at <= clock_timestamp() AND NOT cancel_requested
      AND attempt < max_attempts AND (deadline_at IS NULL OR deadline_at > clock_timestamp())
    ORDER BY priority DESC, available_at
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), ranked AS (
    SELECT id, is_suspect, row_number() OVER (ORDER BY priority DESC, available_at, id) AS place,
           first_value(is_suspect) OVER (ORDER BY priority DESC, available_at, id) AS is_first_suspect
    FROM due
)
UPDATE tasks SET state = 'running', attempt = attempt + 1, fence = fence + 1, lease_owner = %(lease_owner)s,
       lease_until = clock_timestamp() + %(lease_seconds)s * interval '1 second',
       started_at = clock_timestamp(), progress = 0, progress_note = NULL
FROM ranked
WHERE tasks.id = ranked.id AND (CASE WHEN is_first_suspect THEN place = 1 ELSE NOT is_suspect END)
RETURNING tasks.id, kind, payload, payload_version, owner, attempt, max_attempts, fence, correlation_id, created_at, place
"""


def claim(queue: QueueName, *, lease_owner: str, lease_seconds: float, limit: int) -> Statement[list[Claimed]]:
    """Take up to `limit` due tasks of a queue, most urgent first; the attempt is spent here, so that a kill counts."""

    def read(rows: list[Row]) -> list[Claimed]:
        rows.sort(key=lambda row: row["place"])
        return [Claimed(**{name: value for name, value in row.items() if name != "place"}) for row in rows]

    params = {"queue": queue, "lease_owner": lease_owner, "lease_seconds": lease_seconds, "limit": limit}
    return Statement(_CLAIM, params, read)


_RENEW = """
UPDATE tasks SET lease_until = clock_timestamp() + %(lease_seconds)s * interval '1 second',
       progress = given.done, progress_note = given.note
FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(done)s::real[], %(notes)s::text[]) AS given (id, fence, done, note)
WHERE tasks.id = given.id AND tasks.fence = given.fence AND state = 'running'
RETURNING tasks.id, cancel_requested
"""


def renew(progress: Sequence[Progress], *, lease_seconds: float) -> Statement[dict[uuid.UUID, bool]]:
    """Extend leases and store progress. Maps each task still held to whether its cancellation was asked for;
    a task that is missing was lost, and its work must stop."""
    params = {
        "lease_seconds": lease_seconds,
        "ids": [p.id for p in progress],
        "fences": [p.fence for p in progress],
        "done": [p.done for p in progress],
        "notes": [p.note for p in progress],
    }
    return Statement(_RENEW, params, lambda rows: {row["id"]: row["cancel_requested"] for row in rows})


_COMPLETE = """
UPDATE tasks SET state = 'succeeded', result = given.result, error = NULL, progress = 1, progress_note = NULL,
       lease_owner = NULL, lease_until = NULL, finished_at = clock_timestamp()
FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(results)s::jsonb[]) AS given (id, fence, result)
WHERE tasks.id = given.id AND tasks.fence = given.fence AND state = 'running'
RETURNING tasks.id
"""


def complete(outcomes: Sequence[Outcome]) -> Statement[set[uuid.UUID]]:
    """Mark tasks succeeded; returns those that were still ours.

    If any is missing the caller must roll back, effects included, and try again without it.
    """
    params = {
        "ids": [o.id for o in outcomes],
        "fences": [o.fence for o in outcomes],
        "results": [Jsonb(dict(o.result)) for o in outcomes],
    }
    return Statement(_COMPLETE, params, lambda rows: {row["id"] for row in rows})


def notify_finished(ids: Sequence[uuid.UUID]) -> Statement[None]:
    """Wake whoever waits for these tasks, when the transaction commits; one notification for a batch."""
    # PostgreSQL limits a notification to 8,000 bytes: 200 ids of 36 characters and a comma fit.
    groups = [",".join(str(task_id) for task_id in ids[start : start + 200]) for start in range(0, len(ids), 200)]
    return Statement(
        "SELECT pg_notify(%(channel)s, message) FROM unnest(%(messages)s::text[]) AS message",
        {"channel": FINISHED_CHANNEL, "messages": groups},
        lambda _rows: None,
    )


# `attempts` keeps what every attempt ended with; code and message are the latest.
_ERROR = """jsonb_build_object('code', %(code)s::text, 'message', %(message)s::text, 'attempts',
    coalesce(error -> 'attempts', '[]'::jsonb) || jsonb_build_object(
        'attempt', attempt, 'code', %(code)s::text, 'message', %(message)s::text, 'at', clock_timestamp()))"""

_FAIL = (
    """
UPDATE tasks SET
    state = CASE WHEN %(is_permanent)s THEN 'failed'
                 WHEN cancel_requested THEN 'cancelled'
                 WHEN attempt >= max_attempts THEN 'dead'
                 ELSE 'queued' END,
    available_at = clock_timestamp() + %(delay_seconds)s * interval '1 second',
    finished_at = CASE WHEN %(is_permanent)s OR cancel_requested OR attempt >= max_attempts THEN clock_timestamp() END,
    lease_owner = NULL, lease_until = NULL, error = """
    + _ERROR
    + """
WHERE id = %(id)s AND fence = %(fence)s AND state = 'running'
RETURNING state
"""
)


def fail(task: Claimed, *, code: str, message: str, is_permanent: bool, delay_seconds: float = 0.0) -> Statement[State | None]:
    """End an attempt: permanent errors fail at once, others are retried after the delay until attempts run out.

    Returns the new state, or None if the lease was lost.
    """
    params = {
        "id": task.id,
        "fence": task.fence,
        "code": code,
        "message": message,
        "is_permanent": is_permanent,
        "delay_seconds": delay_seconds,
    }
    return Statement(_FAIL, params, lambda rows: rows[0]["state"] if rows else None)


_RELEASE = """
UPDATE tasks SET state = 'queued', attempt = attempt - 1, available_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL
FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[]) AS given (id, fence)
WHERE tasks.id = given.id AND tasks.fence = given.fence AND state = 'running'
RETURNING tasks.id, pg_notify(%(channel)s, queue)
"""


def release(claimed: Sequence[Claimed]) -> Statement[set[uuid.UUID]]:
    """Hand tasks back unstarted or unfinished, the attempt refunded: what a worker does when it is told to stop."""
    params = {"ids": [c.id for c in claimed], "fences": [c.fence for c in claimed], "channel": BELL_CHANNEL}
    return Statement(_RELEASE, params, lambda rows: {row["id"] for row in rows})


_CANCELLED = """
UPDATE tasks SET state = 'cancelled', lease_owner = NULL, lease_until = NULL, finished_at = clock_timestamp()
WHERE id = %(id)s AND fence = %(fence)s AND state = 'running'
RETURNING id
"""


def finish_cancelled(task: Claimed) -> Statement[bool]:
    """A running task stopped because its cancellation was asked for; False if the lease was lost."""
    return Statement(_CANCELLED, {"id": task.id, "fence": task.fence}, bool)


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
    available_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL,
    error = CASE WHEN state = 'queued' THEN jsonb_build_object('code', 'expired', 'message', 'the deadline passed before a worker started')
                 ELSE """
    + _ERROR
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
