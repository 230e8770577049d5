"""Brings a model in from elsewhere: its bundle verified, its arrays loaded once, so that what is registered can be served."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import Connection

from core import bundles, model_versions
from core.bundles import BundleRefused
from core.model_versions import NewVersion
from core.statement import Statement
from ml_worker.recommenders.registry import load_recommender
from ml_worker.registry import UNUSABLE, Registry

NOT_JUDGED: Final = "imported: there is no slice it has certainly not seen, so the gate did not judge it"


@dataclass(frozen=True, slots=True)
class Imported:
    """A version about to be registered: the id reserved for it and the statements that make it known."""

    version_id: int
    algorithm: str
    effects: Sequence[Statement[Any]]


def register(connection: Connection[Any], registry: Registry, artifact: str, *, source: str, task_id: Any = None) -> Imported:
    """Prepare a version of the stored files of a bundle. It goes live if nothing is, otherwise it is a candidate.

    Raises `BundleRefused` if they are not what they are said to be, or no model that this process can serve.
    """
    try:
        files = registry.store.map(artifact)
        if bundles.MANIFEST not in files:
            raise BundleRefused(f"artifact {artifact} has no {bundles.MANIFEST}")
        manifest = bundles.parse_manifest(bytes(files[bundles.MANIFEST]))
        recommender = load_recommender(files)
    except UNUSABLE as error:
        raise BundleRefused(str(error)) from error
    if recommender.name != manifest.algorithm:
        raise BundleRefused(f"its manifest says {manifest.algorithm!r}, its arrays were made by {recommender.name!r}")
    (version_id,) = model_versions.reserve(1).run(connection)
    version = NewVersion(
        id=version_id,
        algorithm=recommender.name,
        artifact=artifact,
        artifact_bytes=sum(len(data) for name, data in files.items() if name != bundles.MANIFEST),
        training_seconds=manifest.training_seconds,
        scope="partial" if manifest.scope == "partial" else "full",
        parameters=recommender.config.model_dump(mode="json"),
        metrics=manifest.metrics,
        gate={"verdict": "not_judged", "reason": NOT_JUDGED},
        data_window={**manifest.data_window, "trained_at": manifest.trained_at},
        source=source,
        task_id=task_id,
    )
    inserted = model_versions.insert(version, status="candidate", reason=NOT_JUDGED)
    live = model_versions.go_live(version_id, replaced_id=None, reason=f"{NOT_JUDGED}; nothing else was live", otherwise=NOT_JUDGED)
    return Imported(version_id, recommender.name, (inserted, *live))
