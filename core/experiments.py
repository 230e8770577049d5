"""Experiments: two arms of model version and settings, and which arm a user belongs to for good."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict, Field

from core.narrowing import Share
from core.statement import Row, Statement

ARMS: Final = ("A", "B")
BUCKETS: Final = 10_000


class Arm(BaseModel):
    """What the lists of an arm are made with; what is left out is as it is without an experiment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_version: int | None = Field(default=None, ge=1, lt=2**63, description="The live one, unless said otherwise.")
    new_share: Share | None = None
    diversity: Share | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment; of all users the share `share_b` gets arm B."""

    id: int
    name: str
    share_b: float
    arms: tuple[Arm, Arm]
    started_at: datetime
    ended_at: datetime | None

    def arm_of(self, user_id: str) -> int:
        """0 for A, 1 for B: always the same for a user, and independent between experiments."""
        digest = hashlib.sha256(f"{self.id}:{user_id}".encode()).digest()
        return int(int.from_bytes(digest[:8]) % BUCKETS < self.share_b * BUCKETS)


def _read(row: Row) -> Experiment:
    arms: tuple[Mapping[str, Any], Mapping[str, Any]] = (row.pop("arm_a"), row.pop("arm_b"))
    return Experiment(arms=(Arm.model_validate(arms[0]), Arm.model_validate(arms[1])), **row)


_FIELDS = "id, name, share_b, arm_a, arm_b, started_at, ended_at"


def running() -> Statement[Experiment | None]:
    """The one experiment that is running, if any."""
    sql = f"SELECT {_FIELDS} FROM experiments WHERE ended_at IS NULL"
    return Statement(sql, {}, lambda rows: _read(rows[0]) if rows else None)


def page(*, name: str | None = None) -> Statement[list[Experiment]]:
    """All experiments, the newest first, or the one of this name."""
    sql = f"SELECT {_FIELDS} FROM experiments WHERE %(name)s::text IS NULL OR name = %(name)s ORDER BY id DESC LIMIT 200"
    return Statement(sql, {"name": name}, lambda rows: [_read(row) for row in rows])


_START = f"""
INSERT INTO experiments (name, share_b, arm_a, arm_b) VALUES (%(name)s, %(share_b)s, %(arm_a)s, %(arm_b)s)
ON CONFLICT DO NOTHING RETURNING {_FIELDS}
"""


def start(*, name: str, share_b: float, arms: tuple[Arm, Arm]) -> Statement[Experiment | None]:
    """Begin an experiment; None if the name was used before or another one is running."""
    documents = [Jsonb(arm.model_dump(mode="json", exclude_none=True)) for arm in arms]
    params = {"name": name, "share_b": share_b, "arm_a": documents[0], "arm_b": documents[1]}
    return Statement(_START, params, lambda rows: _read(rows[0]) if rows else None)


def end(name: str) -> Statement[Experiment | None]:
    """End an experiment; None if there is none of this name that is running."""
    sql = f"UPDATE experiments SET ended_at = clock_timestamp() WHERE name = %(name)s AND ended_at IS NULL RETURNING {_FIELDS}"
    return Statement(sql, {"name": name}, lambda rows: _read(rows[0]) if rows else None)
