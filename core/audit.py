"""The audit trail as statements: what somebody with power did, written in the transaction of the deed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.types.json import Jsonb

from core.statement import Statement, nothing

Action = Literal[
    "task.requeue",
    "model.promote",
    "model.rollback",
    "model.import",
    "schedule.create",
    "schedule.update",
    "schedule.delete",
    "schedule.run",
    "experiment.start",
    "experiment.end",
]

_RECORD = """
INSERT INTO audit_entries (actor, action, subject, details, correlation_id)
VALUES (%(actor)s, %(action)s, %(subject)s, %(details)s, %(correlation_id)s)
"""


def record(
    *, actor: str, action: Action, subject: str, details: Mapping[str, Any] | None = None, correlation_id: str | None = None
) -> Statement[None]:
    """Remember that `actor` (an account's id) did `action` to `subject` (`task:<id>`, `model:<id>`, `schedule:<name>`), now."""
    params = {
        "actor": actor,
        "action": action,
        "subject": subject,
        "details": Jsonb(dict(details or {})),
        "correlation_id": correlation_id,
    }
    return Statement(_RECORD, params, nothing)


@dataclass(frozen=True, slots=True)
class Deed:
    """An entry of the audit trail."""

    created_at: datetime
    actor: str
    action: Action
    details: dict[str, Any]


def deeds(subject: str) -> Statement[list[Deed]]:
    """All that was ever done to `subject`, the oldest first."""
    sql = "SELECT created_at, actor, action, details FROM audit_entries WHERE subject = %(subject)s ORDER BY id"
    return Statement(sql, {"subject": subject}, lambda rows: [Deed(**row) for row in rows])
