"""What is counted and checked about all tasks of a database that is at work, as statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import Connection

from core.statement import Row, Statement

GRACE_SECONDS: Final = 30.0
"""The dispatcher looks every second; what it has not put right after this time it never will."""

_COUNTS = "SELECT kind, state, count(*) AS count FROM tasks GROUP BY kind, state ORDER BY kind, state"

_OLDEST = """
SELECT queue, count(*) AS count, extract(epoch FROM clock_timestamp() - min(available_at))::float8 AS age
FROM tasks WHERE state = 'queued' AND available_at <= clock_timestamp() GROUP BY queue ORDER BY queue
"""

_RUNNING = """
SELECT id, kind, attempt, max_attempts, progress, progress_note, lease_owner,
       coalesce(extract(epoch FROM clock_timestamp() - started_at)::float8, 0) AS running_seconds,
       extract(epoch FROM lease_until - clock_timestamp())::float8 AS lease_seconds
FROM tasks WHERE state = 'running' ORDER BY started_at LIMIT %(limit)s
"""

_UNSUCCESSFUL = """
SELECT kind, state, coalesce(error ->> 'code', '') AS code, count(*) AS count,
       (array_agg(id ORDER BY finished_at DESC))[1] AS latest_id,
       (array_agg(error ->> 'message' ORDER BY finished_at DESC))[1] AS latest_message
FROM tasks WHERE state IN ('dead', 'failed') GROUP BY 1, 2, 3 ORDER BY state, count DESC, kind
"""


@dataclass(frozen=True, slots=True)
class Census:
    """Everything `marquee tasks census` shows."""

    counts: dict[str, dict[str, int]]
    oldest: list[Row]
    running: list[Row]
    unsuccessful: list[Row]
    wrong: dict[str, int]
    """Each check with how many tasks break it."""


_CHECKS: Final[dict[str, LiteralString]] = {
    "no lease has lapsed without anybody taking the task back": (
        "state = 'running' AND lease_until < clock_timestamp() - %(grace_seconds)s * interval '1 second'"
    ),
    "no task waits that is past its deadline": (
        "state = 'queued' AND deadline_at < clock_timestamp() - %(grace_seconds)s * interval '1 second'"
    ),
    "no task waits that has no attempts left": "state = 'queued' AND attempt >= max_attempts",
    "no task has more attempts than it may have": "attempt > max_attempts",
    "every running task was claimed under a fence": "state = 'running' AND (attempt < 1 OR fence < 1 OR lease_owner IS NULL)",
    "every end has its time, and nothing else has one": "(state NOT IN ('queued', 'running')) <> (finished_at IS NOT NULL)",
    "every dead or failed task says why": "state IN ('dead', 'failed') AND error IS NULL",
}


def take(connection: Connection[Any], *, running_limit: int) -> Census:
    """Count and check at one moment."""
    with connection.transaction():
        # One snapshot, so that what is counted and what is checked is the same.
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        counts: dict[str, dict[str, int]] = {}
        for row in Statement(_COUNTS, {}, list).run(connection):
            counts.setdefault(row["kind"], {})[row["state"]] = row["count"]
        return Census(
            counts,
            Statement(_OLDEST, {}, list).run(connection),
            Statement(_RUNNING, {"limit": running_limit}, list).run(connection),
            Statement(_UNSUCCESSFUL, {}, list).run(connection),
            _check().run(connection),
        )


def _check() -> Statement[dict[str, int]]:
    conditions: Sequence[LiteralString] = list(_CHECKS.values())
    columns: LiteralString = ", ".join("count(*) FILTER (WHERE " + condition + ")" for condition in conditions)
    query = "SELECT ARRAY[" + columns + "] AS counts FROM tasks"  # noqa: S608 (constants)
    return Statement(query, {"grace_seconds": GRACE_SECONDS}, lambda rows: dict(zip(_CHECKS, rows[0]["counts"], strict=True)))
