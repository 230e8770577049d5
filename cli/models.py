"""`marquee models`: the registry of trained models, directly on the database and the artifact store."""

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import typer
from psycopg import Connection

from cli import deeds
from cli.connecting import connected
from cli.deeds import person
from cli.refusal import Refusal
from cli.showing import duration, out, pairs, show, table_of
from core import audit, bundles, model_versions, tasks
from core.artifacts import ArtifactDamaged, ArtifactNotFound, ArtifactStore, open_artifacts
from core.audit import Action
from core.bundles import BundleRefused
from core.messages import ImportModelPayload, RefreshListsPayload
from core.model_versions import ByHand, PromotionRefused, Status
from core.places import ArtifactsUnavailable
from core.settings import CoreSettings
from core.statement import Row, Statement, first_or_none

STATUSES: Final[tuple[Status, ...]] = get_args(Status)
MEGABYTE: Final = 1_000_000
LOOK_SECONDS: Final = 0.2

app: Final = typer.Typer(
    help="Look at trained models, compare them and choose which is live, directly on the database (DATABASE_URL) and ARTIFACTS_URL.",
    no_args_is_help=True,
)

VersionId = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="The id of a model version.")]
Reason = Annotated[str | None, typer.Option(help="Why; the audit trail keeps it.", show_default=False)]
Refresh = Annotated[bool, typer.Option("--refresh/--no-refresh", help="Whether all lists are computed anew.")]


@app.command("list")
def list_command(
    *,
    status: Annotated[list[str] | None, typer.Option(help=f"Only these (repeat it): {', '.join(STATUSES)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most, newest first.")] = 20,
) -> None:
    """List model versions, newest first."""
    wanted = [known for known in STATUSES if known in (status or ())]
    if unknown := set(status or ()) - set(STATUSES):
        raise Refusal(f"no status is called {', '.join(sorted(unknown))}; there are {', '.join(STATUSES)}", exit_code=2)
    with connected() as connection:
        found = model_versions.page(statuses=wanted or None, limit=limit).run(connection)
    if not found:
        out.print("No models.")
        return
    table = table_of("version", "algorithm", "scope", "status", "trained", "took", "MB", "interactions", "NDCG@10", "because")
    for row in found:
        measured = _told(row["metrics"].get("values", {}).get("ndcg@10"))
        size = f"{row['artifact_bytes'] / MEGABYTE:.1f}" if row["artifact"] else "let go"
        count = f"{row['data_window'].get('interaction_count', ''):,}" if row["data_window"].get("interaction_count") else ""
        trained = f"{row['created_at']:%Y-%m-%d %H:%M}"
        took = duration(row["training_seconds"])
        names = (str(row["id"]), row["algorithm"], row["scope"], row["status"])
        table.add_row(*names, trained, took, size, count, measured, row["status_reason"] or "")
    show(table)


@app.command("show")
def show_command(version_id: VersionId) -> None:
    """Show one model version with its files and what was done to it by hand."""
    settings = CoreSettings()
    with connected() as connection:
        version = _find(connection, version_id)
        done = audit.deeds(f"model:{version_id}").run(connection)
    table = pairs()
    for name, value in _plain(version).items():
        if value not in (None, "", {}):
            table.add_row(name, json.dumps(value) if isinstance(value, dict) else str(value))
    show(table)
    _show_measured(version["metrics"])
    if version["artifact"]:
        try:
            files = open_artifacts(settings).files(version["artifact"])
        except (ArtifactNotFound, ArtifactDamaged, ArtifactsUnavailable) as error:
            out.print(f"\nIts arrays cannot be read: {error}")
        else:
            for name, file in files.items():
                out.print(f"{name}: {file.size:,} bytes, SHA-256 {file.sha256}")
    deeds.tell(done)


def _plain(version: Row) -> dict[str, Any]:
    """The fields of a version as people read them, without what was measured."""
    window, gate, metrics = version["data_window"], version["gate"], version["metrics"]
    told = {name: value for name, value in version.items() if name != "metrics"}
    told["gate"] = ": ".join(filter(None, (gate.get("verdict"), gate.get("reason"))))
    if {"interaction_count", "user_count", "item_count", "first_at", "last_at"} <= window.keys():
        counts = f"{window['interaction_count']:,} interactions of {window['user_count']:,} users and {window['item_count']:,} items"
        told["data_window"] = f"{counts}, {_between(window)}"
    part = metrics.get("slice", {})
    if {"user_count", "first_at", "last_at"} <= part.keys():
        # Versions from before there were two kinds of exam were all judged by time.
        what = f"at most {part['most_of_each']} of the last events of each, " if part.get("kind") == "last_of_each" else ""
        how = ", seen in training" if part.get("is_seen") else ""
        told["measured_on"] = f"{part['user_count']:,} users, {what}{_between(part)}{how}"
    return {**told, "choice": metrics.get("choice")}


def _between(part: Row) -> str:
    first, last = (datetime.fromtimestamp(part[name], UTC) for name in ("first_at", "last_at"))
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"


def _show_measured(metrics: Row) -> None:
    """Each metric beside that of what the version was held against."""
    rivals = metrics.get("baselines", {})
    titles = (f"{name} {told['version']}" if told.get("version") else name for name, told in rivals.items())
    table = table_of("metric", "this", *titles)
    for name, value in metrics.get("values", {}).items():
        table.add_row(name, _told(value), *(_told(told["values"].get(name)) for told in rivals.values()))
    if table.rows:
        out.print()
        show(table)
        out.print()


@app.command("compare")
def compare_command(version_ids: Annotated[list[int], typer.Argument(metavar="VERSION…", min=1, help="Two or more versions.")]) -> None:
    """Put the metrics of several versions side by side, with their 95 % intervals."""
    with connected() as connection:
        versions = [_find(connection, version_id) for version_id in dict.fromkeys(version_ids)]
    table = table_of("metric", *(f"{row['id']} {row['algorithm']}" for row in versions))
    for name in dict.fromkeys(name for row in versions for name in row["metrics"].get("values", {})):
        table.add_row(name, *(_told(row["metrics"].get("values", {}).get(name)) for row in versions))
    if not table.rows:
        raise Refusal("none of these versions was measured")
    show(table)
    slices = [row["metrics"].get("slice") for row in versions]
    if any(part != slices[0] for part in slices):
        out.print("They were measured on different slices of the interactions: these numbers cannot be compared.")


@app.command("promote")
def promote_command(
    version_id: VersionId,
    *,
    force: Annotated[bool, typer.Option("--force", help="Put it live although the gate refused it; takes a --reason.")] = False,
    reason: Reason = None,
    refresh: Refresh = True,
) -> None:
    """Put a model version live; the audit trail remembers who did (`cli:` and your account here)."""
    store = _open_store(CoreSettings())
    with connected() as connection, connection.transaction():
        model_versions.lock().run(connection)
        version, live = _find(connection, version_id), model_versions.find_live().run(connection)
        decided = _allowed(lambda: model_versions.promotion(version, live, force=force, reason=reason))
        _check_artifact(store, version)
        _do(connection, "model.promote", version_id, decided, refresh=refresh)
    in_place = f" in place of {live['id']}" if live else ""
    out.print(f"Version {version_id} is live{in_place}.")


@app.command("rollback")
def rollback_command(*, reason: Reason = None, refresh: Refresh = True) -> None:
    """Put back the version that was live before; once more goes back one further."""
    store = _open_store(CoreSettings())
    with connected() as connection, connection.transaction():
        model_versions.lock().run(connection)
        live = model_versions.find_live().run(connection)
        before = model_versions.find(live["replaced_id"] or 0).run(connection) if live else None
        decided = _allowed(lambda: model_versions.rollback(live, before, reason=reason))
        assert live is not None
        assert before is not None
        _check_artifact(store, before)
        _do(connection, "model.rollback", before["id"], decided, refresh=refresh)
    out.print(f"Version {before['id']} is live again in place of {live['id']}.")


@app.command("export")
def export_command(version_id: VersionId, file: Annotated[Path, typer.Argument(help="The bundle to write.")]) -> None:
    """Write a model version to one file, for `marquee models import` elsewhere."""
    store = _open_store(CoreSettings())
    with connected() as connection:
        version = _find(connection, version_id)
    files = _check_artifact(store, version)
    try:
        with file.open("xb") as target:
            bundles.write(target, version, files)
    except OSError as error:
        raise Refusal(f"{file} cannot be written: {error.strerror}", exit_code=2) from error
    out.print(f"{file} ({file.stat().st_size:,} bytes) holds version {version_id}, {version['algorithm']}.")


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="A bundle that `marquee models export` or GET /models/{id}/bundle wrote.")],
    *,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a worker to load and register it.")] = 60.0,
) -> None:
    """Take a model from a bundle: verified here, loaded and registered by a worker; it goes live if nothing is."""
    settings = CoreSettings()
    try:
        manifest, files = bundles.read(file, largest_bytes=settings.model_bundle_bytes)
    except BundleRefused as error:
        raise Refusal(f"{file} is not taken: {error}") from error
    store = _open_store(settings)
    try:
        artifact = store.put(files).key
    except ArtifactsUnavailable as error:
        raise Refusal(f"the artifact store (ARTIFACTS_URL) did not take it: {error}") from error
    payload = ImportModelPayload(artifact=artifact, source=f"file:{file.name[:100]}")
    with connected() as connection:
        with connection.transaction():
            submitted = tasks.submit(payload, owner=person()).run(connection)
            assert submitted is not None
            details = {"algorithm": manifest.algorithm, "artifact": artifact, "trained_at": manifest.trained_at}
            deeds.remember(connection, "model.import", f"task:{submitted.id}", details)
        _follow(connection, submitted.id, wait)


def _follow(connection: Connection[Any], task_id: uuid.UUID, wait: float) -> None:
    deadline = time.monotonic() + wait
    statement = Statement("SELECT state, result, error FROM tasks WHERE id = %(id)s", {"id": task_id}, first_or_none)
    while (task := statement.run(connection)) and task["state"] not in tasks.TERMINAL_STATES:
        if time.monotonic() >= deadline:
            out.print(f"The bundle is stored; task {task_id} is {task['state']} and registers it when a worker takes it.")
            return
        time.sleep(LOOK_SECONDS)
    if not task or task["state"] != "succeeded":
        raise Refusal((task or {}).get("error", {}).get("message", f"task {task_id} did not succeed"))
    outcome = "live" if task["result"]["goes_live"] else "a candidate; `marquee models promote` puts it live"
    out.print(f"Version {task['result']['id']}, {task['result']['algorithm']}, is {outcome}.")


def _find(connection: Connection[Any], version_id: int) -> Row:
    version = model_versions.find(version_id).run(connection)
    if version is None:
        raise Refusal(f"there is no model version {version_id}")
    return version


def _open_store(settings: CoreSettings) -> ArtifactStore:
    try:
        return open_artifacts(settings)
    except ArtifactsUnavailable as error:
        raise Refusal(f"the artifact store (ARTIFACTS_URL) cannot be used: {error}") from error


def _check_artifact(store: ArtifactStore, version: Row) -> dict[str, bytes]:
    if version["artifact"] is None:
        raise Refusal(f"the arrays of version {version['id']} are no longer kept")
    try:
        return store.get(version["artifact"])
    except (ArtifactNotFound, ArtifactDamaged, ArtifactsUnavailable) as error:
        raise Refusal(f"version {version['id']} cannot be read from the artifact store: {error}") from error


def _allowed(decide: Callable[[], ByHand]) -> ByHand:
    try:
        return decide()
    except PromotionRefused as error:
        raise Refusal(str(error)) from None


def _do(connection: Connection[Any], action: Action, version_id: int, decided: ByHand, *, refresh: bool) -> None:
    for statement in decided.statements:
        statement.run(connection)
    deeds.remember(connection, action, f"model:{version_id}", decided.details)
    if refresh:
        tasks.submit(RefreshListsPayload(), owner=person()).run(connection)


def _told(measured: dict[str, float] | None) -> str:
    """A metric with its interval."""
    if not measured or measured.get("value") is None:
        return ""
    interval = f" ({measured['low']:.4f}–{measured['high']:.4f})" if measured.get("low") is not None else ""
    return f"{measured['value']:.4f}{interval}"
