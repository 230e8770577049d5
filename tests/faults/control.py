"""The control group: the product's worker with its protection taken out, which must fail the census or the census has no teeth."""

from collections.abc import Sequence
from typing import Any, Final

from psycopg import Connection

from core import claims
from core.claims import Claim, Claimed, Outcome
from core.statement import Statement
from core.topology import QueueName

_COLUMNS: Final = "id, kind, payload, payload_version, owner, attempt, max_attempts, fence, lease_owner, correlation_id, created_at"


def _read(rows: list[dict[str, Any]]) -> Claim:
    return Claim([Claimed(**row) for row in rows], set())


def look_next(queue: QueueName, *, lease_owner: str, lease_seconds: float, limit: int) -> Statement[Claim]:
    """`core.claims.claim_next` without the claim: whatever is due, whoever else works on it."""
    return Statement(
        f"SELECT {_COLUMNS} FROM tasks WHERE queue = %(queue)s AND state = 'queued' AND available_at <= clock_timestamp() LIMIT %(limit)s",
        {"queue": queue, "limit": limit},
        _read,
    )


def look_rung(queue: QueueName, task_ids: Sequence[Any], *, lease_owner: str, lease_seconds: float) -> Statement[Claim]:
    """`core.claims.claim_rung` without the claim: a ring is taken for the task itself."""
    return Statement(f"SELECT {_COLUMNS} FROM tasks WHERE id = ANY(%(ids)s)", {"ids": list(task_ids)}, _read)


def complete_unfenced(outcomes: Sequence[Outcome]) -> Statement[set[Any]]:
    """`core.claims.complete` without the fence: whoever comes late is believed."""
    return Statement(
        """UPDATE tasks SET state = 'succeeded', lease_owner = NULL, lease_until = NULL, finished_at = clock_timestamp()
           WHERE id = ANY(%(ids)s) RETURNING id""",
        {"ids": [outcome.task.id for outcome in outcomes]},
        lambda rows: {row["id"] for row in rows},
    )


def take_out(protection: str) -> None:
    """Mutate this process: `fence`, or `claim` and the fence with it."""
    claims.complete = complete_unfenced
    if protection == "claim":
        claims.claim_next, claims.claim_rung = look_next, look_rung


def open_the_table(connection: Connection[Any]) -> None:
    """Without a claim tasks go from queued to succeeded, which the database itself refuses while its guard stands."""
    connection.execute("DROP TRIGGER guard_task ON tasks")
