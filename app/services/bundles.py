"""Models carried as one file: written from the artifact store, taken into it after verification."""

import os
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection

from app.actor import Actor
from app.faults import Unexpected
from app.model_errors import BundleNotTaken, ModelHasNoArtifact
from core import bundles, tasks
from core.artifacts import ArtifactDamaged, ArtifactNotFound, ArtifactStore
from core.bundles import BundleManifest, BundleRefused
from core.messages import ImportModelPayload
from core.statement import Row


@dataclass(frozen=True, slots=True)
class Taken:
    """A bundle that is verified and stored."""

    artifact: str
    manifest: BundleManifest


def write(artifacts: ArtifactStore, version: Row) -> Path:
    """The bundle of a version as a temporary file, which is the caller's to delete. Raises `ModelHasNoArtifact`."""
    name = f"version {version['id']}"
    if version["artifact"] is None:
        raise ModelHasNoArtifact(f"The arrays of {name} are no longer kept.")
    try:
        files = artifacts.get(version["artifact"])
    except (ArtifactNotFound, ArtifactDamaged) as error:
        raise ModelHasNoArtifact(f"The arrays of {name} cannot be read: {error}.") from error
    handle, path = tempfile.mkstemp(prefix="marquee-bundle-", suffix=".zip")
    with os.fdopen(handle, "wb") as target:
        bundles.write(target, version, files)
    return Path(path)


def take(artifacts: ArtifactStore, path: Path, *, largest_bytes: int) -> Taken:
    """Verify a bundle and store its files. Raises `BundleNotTaken`, which says why."""
    try:
        manifest, files = bundles.read(path, largest_bytes=largest_bytes)
    except BundleRefused as error:
        raise BundleNotTaken(f"This is not taken: {error}.") from error
    return Taken(artifacts.put(files).key, manifest)


async def submit(connection: AsyncConnection[Any], taken: Taken, *, actor: Actor, is_rung: bool) -> uuid.UUID:
    """Ask a worker to load and register what was taken, and remember who brought it; the id of that task."""
    payload = ImportModelPayload(artifact=taken.artifact, source=f"upload:{taken.artifact[:12]}")
    submitted = await tasks.submit(payload, owner=actor.account_id, correlation_id=actor.correlation_id, is_rung=is_rung).run_async(
        connection
    )
    if submitted is None:
        raise Unexpected
    details = {"algorithm": taken.manifest.algorithm, "artifact": taken.artifact, "trained_at": taken.manifest.trained_at}
    await actor.did("model.import", f"task:{submitted.id}", details).run_async(connection)
    return submitted.id
