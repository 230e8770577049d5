"""The registry of model versions as statements: what is live, what replaces it, what is kept.

At most one version is live. Whoever changes which one takes `lock` first, in the same transaction.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from psycopg.types.json import Jsonb

from core.statement import Row, Statement, first_or_none, nothing

Status = Literal["candidate", "live", "retired", "refused"]
Scope = Literal["full", "partial"]

_LOCK_KEY: Final = 0x4D6F64656C  # "Model"


class PromotionRefused(Exception):
    """The version cannot go live like this; `code` for programs, `str()` says why and what to do."""

    def __init__(self, code: Literal["is_live", "was_refused", "no_artifact", "no_reason", "nothing_before"], message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A version to be registered under an id that `reserve` gave; its artifact is stored already."""

    id: int
    algorithm: str
    artifact: str
    artifact_bytes: int
    training_seconds: float
    scope: Scope = "full"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    gate: Mapping[str, Any] = field(default_factory=dict)
    data_window: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None
    parent_id: int | None = None
    task_id: uuid.UUID | None = None


def lock() -> Statement[None]:
    """Let nobody else change which version is live before this transaction ends."""
    return Statement("SELECT pg_advisory_xact_lock(%(key)s)", {"key": _LOCK_KEY}, nothing)


def reserve(count: int) -> Statement[list[int]]:
    """So many ids of versions to be, ascending."""
    sql = "SELECT nextval(pg_get_serial_sequence('model_versions', 'id')) AS id FROM generate_series(1, %(count)s)"
    return Statement(sql, {"count": count}, _ids)


_COLUMNS: Final = """id, algorithm, scope, status, status_reason, artifact, artifact_bytes, parameters, metrics, gate, data_window,
       training_seconds, source, parent_id, replaced_id, task_id, live_at, created_at"""


def find(version_id: int) -> Statement[Row | None]:
    """One version with all its columns."""
    return Statement(f"SELECT {_COLUMNS} FROM model_versions WHERE id = %(id)s", {"id": version_id}, first_or_none)


def find_live() -> Statement[Row | None]:
    """The live version with all its columns; None before the first."""
    return Statement(f"SELECT {_COLUMNS} FROM model_versions WHERE status = 'live'", {}, first_or_none)


def find_from(source: str) -> Statement[Row | None]:
    """The newest version that was imported from there."""
    sql = f"SELECT {_COLUMNS} FROM model_versions WHERE source = %(source)s ORDER BY id DESC LIMIT 1"
    return Statement(sql, {"source": source}, first_or_none)


_PAGE = f"""
SELECT {_COLUMNS} FROM model_versions
WHERE (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s)) AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC LIMIT %(limit)s
"""


def page(*, statuses: Sequence[Status] | None = None, before: int | None = None, limit: int) -> Statement[list[Row]]:
    """Up to `limit` versions with all their columns, newest first, from the one before `before` on."""
    return Statement(_PAGE, {"statuses": list(statuses) if statuses else None, "before": before, "limit": limit}, list)


def find_all(version_ids: Sequence[int]) -> Statement[list[Row]]:
    """Those of the versions that exist, in the order asked for."""
    sql = f"SELECT {_COLUMNS} FROM model_versions WHERE id = ANY(%(ids)s) ORDER BY array_position(%(ids)s::bigint[], id)"
    return Statement(sql, {"ids": list(version_ids)}, list)


_INSERT = """
INSERT INTO model_versions (id, algorithm, scope, status, status_reason, artifact, artifact_bytes, parameters, metrics, gate, data_window,
                            training_seconds, source, parent_id, replaced_id, task_id, live_at)
OVERRIDING SYSTEM VALUE
VALUES (%(id)s, %(algorithm)s, %(scope)s, %(status)s, %(status_reason)s, %(artifact)s, %(artifact_bytes)s, %(parameters)s, %(metrics)s,
        %(gate)s, %(data_window)s, %(training_seconds)s, %(source)s, (SELECT id FROM model_versions WHERE id = %(parent_id)s),
        NULL, %(task_id)s, NULL)
"""


def insert(version: NewVersion, *, status: Literal["candidate", "refused"], reason: str | None = None) -> Statement[None]:
    """Register a version that does not go live, and why."""
    documents = {name: Jsonb(dict(getattr(version, name))) for name in ("parameters", "metrics", "gate", "data_window")}
    plain = {name: getattr(version, name) for name in NewVersion.__dataclass_fields__ if name not in documents}
    return Statement(_INSERT, {**plain, **documents, "status": status, "status_reason": reason}, nothing)


# Two statements, because the index that lets one version be live is checked row by row.
_RETIRE = "UPDATE model_versions SET status = 'retired', status_reason = %(reason)s WHERE status = 'live' AND id = %(id)s"
_GO_LIVE = """
UPDATE model_versions SET
    status = CASE WHEN found.is_taken THEN 'candidate' ELSE 'live' END,
    status_reason = CASE WHEN found.is_taken THEN %(otherwise)s ELSE %(reason)s END,
    replaced_id = CASE WHEN found.is_taken THEN replaced_id ELSE %(replaced_id)s END,
    live_at = CASE WHEN found.is_taken THEN live_at ELSE clock_timestamp() END
FROM (SELECT EXISTS (SELECT FROM model_versions WHERE status = 'live') AS is_taken) AS found
WHERE id = %(id)s
"""


def go_live(version_id: int, *, replaced_id: int | None, reason: str | None, otherwise: str) -> tuple[Statement[None], ...]:
    """Put a version live in place of `replaced_id`, which a rollback will bring back.

    If not that version but another is live by then, somebody decided so: it stays, and the new one is a candidate
    with the reason `otherwise`.
    """
    params = {"id": version_id, "replaced_id": replaced_id, "reason": reason, "otherwise": otherwise}
    return (
        lock(),
        Statement(_RETIRE, {"id": replaced_id, "reason": f"replaced by version {version_id}"}, nothing),
        Statement(_GO_LIVE, params, nothing),
    )


_RESTORE = "UPDATE model_versions SET status = 'live', status_reason = %(reason)s, live_at = clock_timestamp() WHERE id = %(id)s"


@dataclass(frozen=True, slots=True)
class ByHand:
    """What somebody decided: the statements that make it so, and what the audit trail keeps of it."""

    statements: tuple[Statement[None], ...]
    details: dict[str, Any]


def promotion(version: Row, live: Row | None, *, force: bool, reason: str | None) -> ByHand:
    """Put this version live by hand, in place of the live one. Raises `PromotionRefused`."""
    _check_promotion(version, force=force, reason=reason)
    replaced_id = live["id"] if live else None
    why = f"promoted by hand: {reason}" if reason else "promoted by hand"
    details = {
        "force": force,
        "reason": reason,
        "status": version["status"],
        "gate": version["gate"].get("verdict"),
        "replaced": replaced_id,
    }
    return ByHand(go_live(version["id"], replaced_id=replaced_id, reason=why, otherwise=why), details)


def rollback(live: Row | None, before: Row | None, *, reason: str | None) -> ByHand:
    """Put back `before`, which the live version replaced; what *that* one replaced stays known, so that one can go further back.

    Raises `PromotionRefused` if there is nothing to go back to.
    """
    if live is None or before is None:
        name = "no version is live" if live is None else f"version {live['id']} replaced none"
        raise PromotionRefused("nothing_before", f"there is nothing to go back to: {name}")
    if before["artifact"] is None:
        raise PromotionRefused("no_artifact", f"the arrays of version {before['id']} are no longer kept; promote another version")
    statements = (
        lock(),
        Statement(_RETIRE, {"id": live["id"], "reason": f"rolled back to version {before['id']}"}, nothing),
        Statement(_RESTORE, {"id": before["id"], "reason": f"restored by a rollback from version {live['id']}"}, nothing),
    )
    return ByHand(statements, {"reason": reason, "replaced": live["id"]})


def _check_promotion(version: Row, *, force: bool, reason: str | None) -> None:
    name = f"version {version['id']}"
    if version["status"] == "live":
        raise PromotionRefused("is_live", f"{name} is live already")
    if version["artifact"] is None:
        raise PromotionRefused("no_artifact", f"the arrays of {name} are no longer kept; train anew or import it")
    if force and not (reason or "").strip():
        raise PromotionRefused("no_reason", "forcing a promotion takes a reason, which the audit trail keeps")
    if version["status"] == "refused" and not force:
        raise PromotionRefused(
            "was_refused", f"the gate refused {name}: {version['status_reason']}; force it, with a reason, if you know better"
        )


# What is live and what it replaced is kept whatever its age: a rollback must be possible at any time. So are the arms of an experiment,
# which would otherwise become those of the live version without a word.
_LET_GO = """
UPDATE model_versions SET artifact = NULL
WHERE artifact IS NOT NULL AND status <> 'live'
  AND id NOT IN (SELECT replaced_id FROM model_versions WHERE status = 'live' AND replaced_id IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM experiments WHERE ended_at IS NULL
                  AND to_jsonb(model_versions.id) IN (arm_a -> 'model_version', arm_b -> 'model_version'))
  AND id NOT IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY scope ORDER BY id DESC) AS place FROM model_versions) AS newest
                 WHERE place <= %(keep)s)
"""


def let_go(*, keep: int) -> Statement[None]:
    """Forget the artifacts of all but the newest `keep` versions of either scope, and those that are needed; the rows stay.

    Nobody points to the files then.
    """
    return Statement(_LET_GO, {"keep": keep}, nothing)


def _ids(rows: list[Row]) -> list[int]:
    return [int(row["id"]) for row in rows]
