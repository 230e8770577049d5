"""What must be true when everything has come to rest: I1 to I5, each answered with the tasks that break it."""

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import Connection
from psycopg.rows import namedtuple_row

# Written from the design and not from the product's trigger, which is one of the things that are tried here.
EDGES: Final = {
    (None, "queued"),
    ("queued", "running"),
    ("queued", "cancelled"),
    ("queued", "expired"),
    ("running", "queued"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "cancelled"),
    ("running", "dead"),
    ("failed", "queued"),
    ("dead", "queued"),
}


@dataclass
class Verdict:
    """What was counted and what is wrong; empty lists are good news."""

    states: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    applied_twice: list[str] = field(default_factory=list)
    illegal: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.applied_twice or self.illegal or self.other)


def judge(connection: Connection[Any], acknowledged: Mapping[str, uuid.UUID]) -> Verdict:
    """I1, I2, I3 and I5 of one database; `acknowledged` maps idempotency keys to the ids that clients were told."""
    verdict = Verdict(states=dict(connection.execute("SELECT state, count(*) FROM tasks GROUP BY state ORDER BY state").fetchall()))
    _judge_acknowledged(connection, acknowledged, verdict)
    _judge_effects(connection, verdict)
    _judge_attempts(connection, verdict)
    _judge_transitions(connection, verdict)
    return verdict


def _judge_acknowledged(connection: Connection[Any], acknowledged: Mapping[str, uuid.UUID], verdict: Verdict) -> None:
    """I1: every acknowledged task exists under its key, and every task, acknowledged or not, has ended."""
    stored = dict(connection.execute("SELECT idem_key, id FROM tasks").fetchall())
    verdict.lost += [f"{key} was acknowledged as {task_id} and is {stored.get(key)}" for key, task_id in acknowledged.items()
                     if stored.get(key) != task_id]  # fmt: skip
    open_tasks = connection.execute("SELECT id, state, attempt FROM tasks WHERE state IN ('queued', 'running')").fetchall()
    verdict.lost += [f"{task_id} is still {state} (attempt {attempt})" for task_id, state, attempt in open_tasks]


def _judge_effects(connection: Connection[Any], verdict: Verdict) -> None:
    """I2: one effect for each success, under the fence the task ended with; none for anything else."""
    rows = connection.execute(
        """SELECT tasks.id, state, count(witness.task_id), count(*) FILTER (WHERE witness.fence <> tasks.fence)
           FROM tasks LEFT JOIN witness ON witness.task_id = tasks.id GROUP BY tasks.id
           HAVING count(witness.task_id) <> (state = 'succeeded')::int OR bool_or(witness.fence <> tasks.fence)"""
    ).fetchall()
    for task_id, state, effects, strange in rows:
        sentence = f"{task_id} is {state} and was applied {effects} times, {strange} of them under another fence"
        (verdict.lost if effects == 0 else verdict.applied_twice).append(sentence)
    strangers = connection.execute("SELECT task_id FROM witness WHERE task_id NOT IN (SELECT id FROM tasks)").fetchall()
    verdict.applied_twice += [f"{task_id} was applied and does not exist" for (task_id,) in strangers]


def _judge_attempts(connection: Connection[Any], verdict: Verdict) -> None:
    """I3: no task had more attempts than it may have, none runs under a lease that is over."""
    rows = connection.execute(
        """SELECT id, state, attempt, max_attempts FROM tasks
           WHERE attempt NOT BETWEEN 0 AND max_attempts OR (state = 'running' AND lease_until < clock_timestamp())"""
    ).fetchall()
    verdict.illegal += [f"{task_id} is {state} at attempt {attempt} of {most}" for task_id, state, attempt, most in rows]


def _judge_transitions(connection: Connection[Any], verdict: Verdict) -> None:
    """I5: every change of every task is one the design knows, and each begins where the last one ended."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        cursor.execute("SELECT * FROM transitions ORDER BY task_id, seq")
        before = None
        for change in cursor:
            is_first = before is None or before.task_id != change.task_id
            if reason := _illegal(change) or (None if is_first else _gap(before, change)) or (_late(change) if is_first else None):
                verdict.illegal.append(f"{change.task_id}: {change.old_state} → {change.new_state}, {reason}")
            before = change


def _late(change: Any) -> str | None:
    return None if change.old_state is None else "nobody saw it begin"


def _gap(before: Any, change: Any) -> str | None:
    was = (before.new_state, before.new_fence, before.new_attempt)
    return None if was == (change.old_state, change.old_fence, change.old_attempt) else f"though it was left {was}"


def _illegal(change: Any) -> str | None:
    """Why this change is none that the design knows."""
    edge = (change.old_state, change.new_state)
    if edge not in EDGES:
        return "which is no way"
    if edge == (None, "queued"):
        return None
    fences, attempts = change.new_fence - change.old_fence, change.new_attempt - change.old_attempt
    is_claim = edge == ("queued", "running")
    if fences != int(is_claim):
        return f"the fence went from {change.old_fence} to {change.new_fence}"
    is_requeue = change.old_state in {"failed", "dead"}
    refunds = {0, -1} if edge == ("running", "queued") else {0}  # a worker that is told to stop gives the attempt back
    if attempts not in ({1} if is_claim else refunds) and not is_requeue:
        return f"the attempt went from {change.old_attempt} to {change.new_attempt}"
    return None if bool(change.requeued) == is_requeue else "requeued without being counted"


def count_refunds(connection: Connection[Any]) -> Counter[str]:
    """How often an attempt was given back, lost with its lease, or retried; for the census to show that the faults were real."""
    rows = connection.execute(
        """SELECT CASE WHEN new_attempt < old_attempt THEN 'refunded' ELSE 'retried' END, count(*) FROM transitions
           WHERE old_state = 'running' AND new_state = 'queued' GROUP BY 1"""
    ).fetchall()
    return Counter(dict(rows))
