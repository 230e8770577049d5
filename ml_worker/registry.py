"""The registry of model versions: publishes trained models and serves the live one from memory."""

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from psycopg import Connection

from core import model_versions
from core.artifacts import ArtifactDamaged, ArtifactNotFound, ArtifactStore, open_artifacts
from core.log import get_logger
from core.mapped import CachedFiles
from core.model_versions import NewVersion, Scope
from core.places import ArtifactsUnavailable
from core.statement import Statement
from ml_worker.recommenders.base import Recommender
from ml_worker.recommenders.batches import give_back_memory
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.registry import UnknownAlgorithm, load_recommender
from ml_worker.recommenders.state import DamagedModel, NewerModelFormat
from ml_worker.settings import WorkerSettings

UNUSABLE: Final = (ArtifactNotFound, ArtifactDamaged, DamagedModel, NewerModelFormat, UnknownAlgorithm)
"""Why an artifact cannot be served."""

RETRY_SECONDS: Final = 30.0
MEGABYTE: Final = 1_000_000


class ModelUnusable(Exception):
    """The live version cannot be loaded, and nothing else is in memory; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A fitted recommender that is not in the registry yet, and how it came about.

    `metrics` are what was measured, `gate` what was made of it: its `verdict` is `refused` if the model must not go live,
    and `reason` says why.
    """

    recommender: Recommender
    window: Mapping[str, Any]
    training_seconds: float
    scope: Scope = "full"
    parent_id: int | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    gate: Mapping[str, Any] = field(default_factory=dict)
    passed_over: str | None = None
    """Why another model of the same training is preferred to this one."""

    @property
    def is_refused(self) -> bool:
        return self.gate.get("verdict") == "refused"


def preferred(trained: Sequence[TrainedModel]) -> int | None:
    """Which of the models goes live: the first that is neither refused nor passed over."""
    return next((place for place, model in enumerate(trained) if not model.is_refused and model.passed_over is None), None)


@dataclass(frozen=True)
class ServedModel:
    """A model version in memory."""

    version_id: int
    recommender: Recommender

    @cached_property
    def columns(self) -> dict[str, int]:
        """The column of each item the model knows."""
        return {item_id: column for column, item_id in enumerate(self.recommender.item_ids)}


class Registry:
    """Model versions in the database, their arrays in the artifact store, the live one in this process's memory."""

    def __init__(self, store: ArtifactStore) -> None:
        self.store = store
        self._served: ServedModel | None = None
        self._unusable: tuple[int, float] | None = None  # a version that could not be loaded, and when to try again
        self._loading = threading.Lock()
        self._aside: dict[int, ServedModel] = {}  # versions asked for by number, beside the live one

    @property
    def served_version(self) -> int | None:
        """The version in memory, None if none is."""
        return self._served.version_id if self._served else None

    def publish(
        self, connection: Connection[Any], trained: Sequence[TrainedModel], *, task_id: uuid.UUID | None, replaced_id: int | None, keep: int
    ) -> tuple[list[int], tuple[Statement[Any], ...]]:
        """Store the arrays now and return the reserved version ids with the statements that make the versions known.

        The preferred one goes live in place of `replaced_id`, which it was judged against; the others that passed are candidates.
        Until the statements are committed the arrays are files nobody points to. `keep`: see `core.model_versions.let_go`.
        """
        versions = model_versions.reserve(len(trained)).run(connection)
        statements: list[Statement[Any]] = []
        for version, model in zip(versions, trained, strict=True):
            status, reason = ("refused", model.gate.get("reason")) if model.is_refused else ("candidate", model.passed_over)
            statements.append(model_versions.insert(self._store(version, model, task_id), status=status, reason=reason))  # type: ignore[arg-type]
        if (place := preferred(trained)) is not None:
            reason, otherwise = trained[place].gate.get("reason"), "another version went live while this one was trained"
            statements += model_versions.go_live(versions[place], replaced_id=replaced_id, reason=reason, otherwise=otherwise)
        return versions, (*statements, model_versions.let_go(keep=keep))

    def current(self, connection: Connection[Any]) -> ServedModel | None:
        """The live version, loaded when it changed; None before the first training.

        If it cannot be loaded, what is in memory is served on, and it is tried again now and then. Raises `ModelUnusable`, or
        `core.places.ArtifactsUnavailable`, if there is nothing in memory.
        """
        row = connection.execute("SELECT id, artifact FROM model_versions WHERE status = 'live'").fetchone()
        if row is None:
            return None
        version_id, artifact = row
        served = self._served
        if served is None or served.version_id != version_id:
            with self._loading:
                served = self._served
                if served is None or served.version_id != version_id:
                    served = self._load(version_id, artifact)
        return served

    def version(self, connection: Connection[Any], version_id: int) -> ServedModel:
        """A version asked for by its number; two beside the live one are kept in memory. Raises `ModelUnusable`."""
        served = self._served if self.served_version == version_id else self._aside.get(version_id)
        if served is not None:
            return served
        row = connection.execute("SELECT artifact FROM model_versions WHERE id = %s", (version_id,)).fetchone()
        if row is None or row[0] is None:
            raise ModelUnusable(
                f"there is no model version {version_id}" if row is None else f"model version {version_id} is no longer kept"
            )
        with self._loading:
            try:
                served = ServedModel(version_id, self.load(row[0]))
            except UNUSABLE as error:
                raise ModelUnusable(f"the model version {version_id} cannot be loaded: {error}") from error
            self._aside = {**dict(list(self._aside.items())[-1:]), version_id: served}
        return served

    def load(self, artifact: str) -> Recommender:
        """The recommender with these arrays, verified and where possible mapped. Raises one of `UNUSABLE`."""
        try:
            return load_recommender(self.store.map(artifact))
        finally:
            give_back_memory()  # what checking the arrays took would stay for good: models are loaded once in a while

    def _load(self, version_id: int, artifact: str) -> ServedModel:
        if self._served and self._unusable and self._unusable[0] == version_id and time.monotonic() < self._unusable[1]:
            return self._served
        log = get_logger(__name__)
        try:
            served = ServedModel(version_id, self.load(artifact))
        except (*UNUSABLE, ArtifactsUnavailable) as error:
            self._unusable = (version_id, time.monotonic() + RETRY_SECONDS)
            if self._served is None and isinstance(error, ArtifactsUnavailable):
                raise  # the store may come back: the work is tried again, where an unusable model ends it
            if self._served is None:
                raise ModelUnusable(f"the live model version {version_id} cannot be loaded: {error}; roll back, or train anew") from error
            log.error("model not loaded; the one before is served on", version=version_id, served=self.served_version, reason=str(error))
            return self._served
        self._served = served  # one assignment: whoever ranks right now finishes with the model it began with
        log.info("model loaded", version=version_id, algorithm=served.recommender.name)
        return served

    def _store(self, version: int, model: TrainedModel, task_id: uuid.UUID | None) -> NewVersion:
        stored = self.store.put(model.recommender.save())
        return NewVersion(
            id=version,
            algorithm=model.recommender.name,
            artifact=stored.key,
            artifact_bytes=stored.size,
            training_seconds=model.training_seconds,
            scope=model.scope,
            parameters=model.recommender.config.model_dump(mode="json"),
            metrics=model.metrics,
            gate=model.gate,
            data_window=model.window,
            parent_id=model.parent_id,
            task_id=task_id,
        )


def open_registry(settings: WorkerSettings) -> Registry:
    """The registry of a process. Raises `core.places.ArtifactsUnavailable` if the store's directory cannot be made."""
    cached = CachedFiles(settings.artifacts_cache, settings.artifacts_cache_mb * MEGABYTE) if settings.artifacts_cache else None
    return Registry(open_artifacts(settings, cached=cached))


def window(interactions: Interactions, *, last_id: int) -> dict[str, Any]:
    """What a model was trained on, for the registry. `last_id` is the interaction that arrived last."""
    return {
        "user_count": len(interactions.user_ids),
        "item_count": len(interactions.item_ids),
        "interaction_count": len(interactions),
        "first_at": int(interactions.times.min()),
        "last_at": int(interactions.times.max()),
        "last_id": last_id,
    }
