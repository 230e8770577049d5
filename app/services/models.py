"""The registry of trained models: shown, compared, and by hand put live or taken back."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi.concurrency import run_in_threadpool
from psycopg import AsyncConnection

from app.actor import Actor
from app.errors import RequestInvalid
from app.model_errors import ModelNotFound, ModelNotPromotable, ModelRefusedByGate
from core import model_versions, tasks
from core.artifacts import ArtifactDamaged, ArtifactNotFound, ArtifactStore, StoredFile
from core.audit import Action
from core.messages import RefreshListsPayload
from core.model_versions import ByHand, PromotionRefused, Status
from core.statement import Row


@dataclass(frozen=True, slots=True)
class Change:
    """Another version is live; the lists follow by the task, if lists are to be refreshed and nothing does it already."""

    live: Row
    replaced_id: int | None
    refresh_task_id: uuid.UUID | None


async def list_models(connection: AsyncConnection[Any], *, statuses: Sequence[Status] | None, before: int | None, limit: int) -> list[Row]:
    """Up to `limit` versions, newest first, from the one before `before` on."""
    return await model_versions.page(statuses=statuses, before=before, limit=limit).run_async(connection)


async def get_model(connection: AsyncConnection[Any], version_id: int) -> Row:
    """One version. Raises `ModelNotFound`."""
    found = await model_versions.find(version_id).run_async(connection)
    if found is None:
        raise ModelNotFound(version_id)
    return found


async def get_models(connection: AsyncConnection[Any], version_ids: Sequence[int]) -> list[Row]:
    """Several versions in the order asked for. Raises `ModelNotFound` for the first that does not exist."""
    found = {row["id"]: row for row in await model_versions.find_all(version_ids).run_async(connection)}
    for version_id in version_ids:
        if version_id not in found:
            raise ModelNotFound(version_id)
    return [found[version_id] for version_id in dict.fromkeys(version_ids)]


def plot(version: Row) -> list[dict[str, Any]]:
    """The metrics of a version and of what it was held against, a line for each metric: points by the length of the lists."""
    metrics = version["metrics"]
    measured = {"this": {"version": version["id"], "values": metrics.get("values", {})}, **metrics.get("baselines", {})}
    lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name, model in measured.items():
        for key, value in model["values"].items():
            metric, _, k = key.partition("@")
            if k.isdecimal():
                lines.setdefault((metric, name), []).append({"k": int(k), **value})
    return [
        {"metric": metric, "name": name, "version": measured[name]["version"], "points": sorted(points, key=lambda point: int(point["k"]))}
        for (metric, name), points in lines.items()
    ]


def find_files(artifacts: ArtifactStore, version: Row) -> dict[str, StoredFile]:
    """The files of a version with their checksums; none if they are no longer kept or cannot be read."""
    try:
        return artifacts.files(version["artifact"]) if version["artifact"] else {}
    except (ArtifactNotFound, ArtifactDamaged):
        return {}


async def promote(
    connection: AsyncConnection[Any],
    artifacts: ArtifactStore,
    version_id: int,
    *,
    force: bool,
    reason: str | None,
    refresh_lists: bool,
    actor: Actor,
) -> Change:
    """Put a version live and remember who did it, both or neither.

    Raises `ModelNotFound`, `ModelRefusedByGate`, `ModelNotPromotable`, or `RequestInvalid` if a forced promotion has no reason.
    """
    await model_versions.lock().run_async(connection)
    version, live = await get_model(connection, version_id), await model_versions.find_live().run_async(connection)
    decided = _allowed(lambda: model_versions.promotion(version, live, force=force, reason=reason))
    await _check_artifact(artifacts, version)
    return await _do(connection, "model.promote", version_id, decided, refresh_lists=refresh_lists, actor=actor)


async def roll_back(
    connection: AsyncConnection[Any], artifacts: ArtifactStore, *, reason: str | None, refresh_lists: bool, actor: Actor
) -> Change:
    """Put back what the live version replaced, under audit. Raises `ModelNotPromotable`."""
    await model_versions.lock().run_async(connection)
    live = await model_versions.find_live().run_async(connection)
    before = await model_versions.find(live["replaced_id"] or 0).run_async(connection) if live else None
    decided = _allowed(lambda: model_versions.rollback(live, before, reason=reason))
    assert before is not None
    await _check_artifact(artifacts, before)
    return await _do(connection, "model.rollback", before["id"], decided, refresh_lists=refresh_lists, actor=actor)


async def _check_artifact(artifacts: ArtifactStore, version: Row) -> None:
    try:
        await run_in_threadpool(artifacts.get, version["artifact"])
    except (ArtifactNotFound, ArtifactDamaged) as error:
        raise ModelNotPromotable(f"Version {version['id']} cannot be served: {error}.") from error


_PROBLEMS: Final = {"was_refused": ModelRefusedByGate}


def _allowed(decide: Callable[[], ByHand]) -> ByHand:
    try:
        return decide()
    except PromotionRefused as error:
        if error.code == "no_reason":
            raise RequestInvalid.because("reason", str(error)) from None
        told = str(error)
        raise _PROBLEMS.get(error.code, ModelNotPromotable)(f"{told[0].upper()}{told[1:]}.") from None


async def _do(
    connection: AsyncConnection[Any], action: Action, version_id: int, decided: ByHand, *, refresh_lists: bool, actor: Actor
) -> Change:
    """Do what was decided, after which this version is live, and remember it."""
    for statement in decided.statements:
        await statement.run_async(connection)
    await actor.did(action, f"model:{version_id}", decided.details).run_async(connection)
    task_id = None
    if refresh_lists:
        asked = tasks.submit(RefreshListsPayload(), owner=actor.account_id, correlation_id=actor.correlation_id)
        submitted = await asked.run_async(connection)
        task_id = submitted.id if submitted else None
    return Change(await get_model(connection, version_id), decided.details["replaced"], task_id)
