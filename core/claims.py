"""What the holder of a lease does with a task, as statements: claim, renew, complete, fail, release.

Every write names the fence and the owner of the lease that `claim` gave; a worker whose lease was lost writes nothing.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from core.statement import Row, Statement
from core.tasks import ATTEMPT_ERROR, State
from core.topology import BELL_CHANNEL, FINISHED_CHANNEL, QueueName


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
    lease_owner: str
    correlation_id: str | None
    created_at: datetime
    age_seconds: float = 0.0
    """By the database's clock, when it was claimed."""
    claimed_at: float = field(default_factory=time.monotonic)
    """By this machine's clock that is never set."""

    @property
    def seconds_since_creation(self) -> float:
        """How long ago it was asked for."""
        return self.age_seconds + time.monotonic() - self.claimed_at


@dataclass(frozen=True, slots=True)
class Progress:
    """What a lease renewal carries: the share done (0 to 1) and a note for people."""

    task: Claimed
    done: float = 0.0
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a finished task; the artifact of a large one has all of it."""

    task: Claimed
    result: Mapping[str, Any]
    artifact: str | None = None
    artifact_bytes: int | None = None


# A task whose last attempt ended with its worker is claimed alone, so that a poisonous one takes no neighbours down.
# What is due but not taken for that reason is told too, because its ring must not be lost.
# A claim does not wait for the disk: the task's end is written after it and does. A server that crashes in between forgets
# the claim, and may give its fence again, but to another owner.
_CLAIM = """
, ranked AS (
    SELECT id, is_suspect, row_number() OVER (ORDER BY priority DESC, available_at, id) AS place,
           first_value(is_suspect) OVER (ORDER BY priority DESC, available_at, id) AS is_first_suspect
    FROM due
), claimed AS (
    UPDATE tasks SET state = 'running', attempt = attempt + 1, fence = fence + 1, lease_owner = %(lease_owner)s,
           lease_until = clock_timestamp() + %(lease_seconds)s * interval '1 second',
           started_at = clock_timestamp(), dispatched_at = NULL, progress = 0, progress_note = NULL
    FROM ranked
    WHERE tasks.id = ranked.id AND (CASE WHEN is_first_suspect THEN place = 1 ELSE NOT is_suspect END)
    RETURNING tasks.id, kind, payload, payload_version, owner, attempt, max_attempts, fence, lease_owner, correlation_id, created_at,
              extract(epoch FROM clock_timestamp() - created_at)::float8 AS age_seconds
)
SELECT ranked.id, claimed.kind, payload, payload_version, owner, attempt, max_attempts, fence, lease_owner, correlation_id, created_at,
       age_seconds
FROM ranked LEFT JOIN claimed ON claimed.id = ranked.id CROSS JOIN (SELECT set_config('synchronous_commit', 'off', true)) AS unhurried
ORDER BY place
"""

_IS_DUE = """state = 'queued' AND queue = %(queue)s AND available_at <= clock_timestamp() AND NOT cancel_requested
      AND attempt < max_attempts AND (deadline_at IS NULL OR deadline_at > clock_timestamp())"""
_COLUMNS = "id, coalesce(error ->> 'code', '') = 'lease_expired' AS is_suspect, priority, available_at"

_CLAIM_NEXT = f"""
WITH due AS (
    SELECT {_COLUMNS} FROM tasks WHERE {_IS_DUE}
    ORDER BY priority DESC, available_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
){_CLAIM}"""

# Locked tasks are waited for: whoever holds one is about to commit (an event that joins it), and the ring is spent on it.
# In the order of ids, so that two workers with the same rings cannot deadlock.
_CLAIM_RUNG = f"""
WITH due AS (
    SELECT {_COLUMNS} FROM tasks WHERE id = ANY(%(ids)s) AND {_IS_DUE}
    ORDER BY id FOR UPDATE
){_CLAIM}"""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim brought: tasks to run, and due tasks left for a claim of their own."""

    tasks: list[Claimed]
    deferred: set[uuid.UUID]


def _claim(rows: list[Row]) -> Claim:
    taken = [row for row in rows if row["kind"] is not None]
    return Claim([Claimed(**row) for row in taken], {row["id"] for row in rows if row["kind"] is None})


def claim_next(queue: QueueName, *, lease_owner: str, lease_seconds: float, limit: int) -> Statement[Claim]:
    """Take up to `limit` due tasks of a queue, most urgent first; the attempt is spent here, so that a kill counts."""
    params = {"queue": queue, "lease_owner": lease_owner, "lease_seconds": lease_seconds, "limit": limit}
    return Statement(_CLAIM_NEXT, params, _claim)


def claim_rung(queue: QueueName, task_ids: Sequence[uuid.UUID], *, lease_owner: str, lease_seconds: float) -> Statement[Claim]:
    """Take those of these tasks that are due in this queue; the rings of the others are stale, save the deferred ones."""
    params = {"queue": queue, "ids": list(task_ids), "lease_owner": lease_owner, "lease_seconds": lease_seconds}
    return Statement(_CLAIM_RUNG, params, _claim)


def find_strangers(queue: QueueName, task_ids: Sequence[uuid.UUID]) -> Statement[set[uuid.UUID]]:
    """Those of the tasks that belong to another queue: their rings went astray."""
    return Statement(
        "SELECT id FROM tasks WHERE id = ANY(%(ids)s) AND queue <> %(queue)s",
        {"queue": queue, "ids": list(task_ids)},
        lambda rows: {row["id"] for row in rows},
    )


_GIVEN = "unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(lease_owners)s::text[]"
_IS_HELD = "tasks.id = given.id AND tasks.fence = given.fence AND tasks.lease_owner = given.lease_owner AND state = 'running'"


def _held(claimed: Sequence[Claimed]) -> dict[str, Any]:
    return {
        "ids": [task.id for task in claimed],
        "fences": [task.fence for task in claimed],
        "lease_owners": [task.lease_owner for task in claimed],
    }


_RENEW = f"""
UPDATE tasks SET lease_until = clock_timestamp() + %(lease_seconds)s * interval '1 second',
       progress = given.done, progress_note = given.note
FROM {_GIVEN}, %(done)s::real[], %(notes)s::text[]) AS given (id, fence, lease_owner, done, note)
WHERE {_IS_HELD}
RETURNING tasks.id, cancel_requested
"""


def renew(progress: Sequence[Progress], *, lease_seconds: float) -> Statement[dict[uuid.UUID, bool]]:
    """Extend leases and store progress. Maps each task still held to whether its cancellation was asked for;
    a task that is missing was lost, and its work must stop."""
    params = {
        **_held([p.task for p in progress]),
        "lease_seconds": lease_seconds,
        "done": [p.done for p in progress],
        "notes": [p.note for p in progress],
    }
    return Statement(_RENEW, params, lambda rows: {row["id"]: row["cancel_requested"] for row in rows})


# Whoever waits for these tasks is woken when the transaction commits. A notification holds 8,000 bytes: 200 ids with commas.
_COMPLETE = f"""
WITH completed AS (
UPDATE tasks SET state = 'succeeded', result = given.result, artifact = given.artifact,
       artifact_bytes = given.artifact_bytes, error = NULL, progress = 1, progress_note = NULL,
       lease_owner = NULL, lease_until = NULL, finished_at = clock_timestamp()
FROM {_GIVEN}, %(results)s::jsonb[], %(artifacts)s::text[], %(artifact_bytes)s::bigint[])
         AS given (id, fence, lease_owner, result, artifact, artifact_bytes)
WHERE {_IS_HELD}
RETURNING tasks.id
)
SELECT array_agg(id) AS ids, pg_notify(%(channel)s, string_agg(id::text, ','))
FROM (SELECT id, row_number() OVER () / 200 AS part FROM completed) AS numbered GROUP BY part
"""


def complete(outcomes: Sequence[Outcome]) -> Statement[set[uuid.UUID]]:
    """Mark tasks succeeded and wake whoever waits for them; returns those that were still ours.

    If any is missing the caller must roll back, effects included, and try again without it.
    """
    params = {
        **_held([o.task for o in outcomes]),
        "results": [Jsonb(dict(o.result)) for o in outcomes],
        "artifacts": [o.artifact for o in outcomes],
        "artifact_bytes": [o.artifact_bytes for o in outcomes],
        "channel": FINISHED_CHANNEL,
    }
    return Statement(_COMPLETE, params, lambda rows: {task_id for row in rows for task_id in row["ids"]})


_FAIL = (
    """
UPDATE tasks SET
    state = CASE WHEN %(is_permanent)s THEN 'failed'
                 WHEN cancel_requested THEN 'cancelled'
                 WHEN attempt >= max_attempts THEN 'dead'
                 ELSE 'queued' END,
    available_at = clock_timestamp() + %(delay_seconds)s * interval '1 second',
    finished_at = CASE WHEN %(is_permanent)s OR cancel_requested OR attempt >= max_attempts THEN clock_timestamp() END,
    dispatched_at = NULL, lease_owner = NULL, lease_until = NULL, error = """
    + ATTEMPT_ERROR
    + """
WHERE id = %(id)s AND fence = %(fence)s AND lease_owner = %(lease_owner)s AND state = 'running'
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
        "lease_owner": task.lease_owner,
        "code": code,
        "message": message,
        "is_permanent": is_permanent,
        "delay_seconds": delay_seconds,
    }
    return Statement(_FAIL, params, lambda rows: rows[0]["state"] if rows else None)


_RELEASE = f"""
UPDATE tasks SET state = 'queued', attempt = attempt - 1, available_at = clock_timestamp(), dispatched_at = NULL,
       lease_owner = NULL, lease_until = NULL
FROM {_GIVEN}) AS given (id, fence, lease_owner)
WHERE {_IS_HELD}
RETURNING tasks.id, pg_notify(%(channel)s, queue)
"""


def release(claimed: Sequence[Claimed]) -> Statement[set[uuid.UUID]]:
    """Hand tasks back unstarted or unfinished, the attempt refunded: what a worker does when it is told to stop."""
    return Statement(_RELEASE, {**_held(claimed), "channel": BELL_CHANNEL}, lambda rows: {row["id"] for row in rows})


_CANCELLED = """
UPDATE tasks SET state = 'cancelled', lease_owner = NULL, lease_until = NULL, finished_at = clock_timestamp()
WHERE id = %(id)s AND fence = %(fence)s AND lease_owner = %(lease_owner)s AND state = 'running'
RETURNING id
"""


def finish_cancelled(task: Claimed) -> Statement[bool]:
    """A running task stopped because its cancellation was asked for; False if the lease was lost."""
    return Statement(_CANCELLED, {"id": task.id, "fence": task.fence, "lease_owner": task.lease_owner}, bool)
