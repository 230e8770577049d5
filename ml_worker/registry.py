"""The registry of model versions: publishes trained models and serves the current one from memory."""

import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.artifacts import ArtifactStore
from core.log import get_logger
from core.statement import Statement, nothing
from ml_worker.recommenders.base import Recommender
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.registry import load_recommender


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A fitted recommender that is not in the registry yet, and what it was fitted on."""

    recommender: Recommender
    interactions: Interactions
    training_seconds: float


@dataclass(frozen=True)
class ServedModel:
    """A model version in memory."""

    version_id: int
    recommender: Recommender

    @cached_property
    def columns(self) -> dict[str, int]:
        """The column of each item the model knows."""
        return {item_id: column for column, item_id in enumerate(self.recommender.item_ids)}


_INSERT = """
INSERT INTO model_versions (id, algorithm, artifact, artifact_bytes, parameters, data_window, training_seconds, task_id, is_current)
OVERRIDING SYSTEM VALUE
VALUES (%(id)s, %(algorithm)s, %(artifact)s, %(artifact_bytes)s, %(parameters)s, %(data_window)s, %(training_seconds)s,
        %(task_id)s, %(is_current)s)
"""


class Registry:
    """Model versions in the database, their arrays in the artifact store, the current one in this process's memory."""

    def __init__(self, store: ArtifactStore) -> None:
        self.store = store
        self._served: ServedModel | None = None
        self._loading = threading.Lock()

    @property
    def served_version(self) -> int | None:
        """The version in memory, None if none is."""
        return self._served.version_id if self._served else None

    def publish(
        self, connection: Connection[Any], trained: Sequence[TrainedModel], *, task_id: uuid.UUID
    ) -> tuple[list[int], tuple[Statement[Any], ...]]:
        """Store the arrays now and return the reserved version ids with the statements that make the versions known.

        The first becomes current when the statements are committed; until then the arrays are files nobody points to.
        """
        reserve = "SELECT nextval(pg_get_serial_sequence('model_versions', 'id')) FROM generate_series(1, %s)"
        versions = [int(row[0]) for row in connection.execute(reserve, (len(trained),))]
        statements: list[Statement[Any]] = [Statement("UPDATE model_versions SET is_current = false WHERE is_current", {}, nothing)]
        for version, model in zip(versions, trained, strict=True):
            statements.append(self._insertion(version, model, task_id=task_id, is_current=version == versions[0]))
        return versions, tuple(statements)

    def current(self, connection: Connection[Any]) -> ServedModel | None:
        """The current model version, loaded when it changed; None before the first training."""
        row = connection.execute("SELECT id, artifact FROM model_versions WHERE is_current").fetchone()
        if row is None:
            return None
        version_id, artifact = row
        served = self._served
        if served is None or served.version_id != version_id:
            with self._loading:
                served = self._served
                if served is None or served.version_id != version_id:
                    served = ServedModel(version_id, load_recommender(self.store.get(artifact)))
                    self._served = served  # one assignment: whoever ranks right now finishes with the model it began with
                    get_logger(__name__).info("model loaded", version=version_id, algorithm=served.recommender.name)
        return served

    def _insertion(self, version: int, model: TrainedModel, *, task_id: uuid.UUID, is_current: bool) -> Statement[None]:
        stored = self.store.put(model.recommender.save())
        params = {
            "id": version,
            "algorithm": model.recommender.name,
            "artifact": stored.key,
            "artifact_bytes": stored.size,
            "parameters": Jsonb(model.recommender.config.model_dump(mode="json")),
            "data_window": Jsonb(_window(model.interactions)),
            "training_seconds": model.training_seconds,
            "task_id": task_id,
            "is_current": is_current,
        }
        return Statement(_INSERT, params, nothing)


def _window(interactions: Interactions) -> dict[str, Any]:
    return {
        "user_count": len(interactions.user_ids),
        "item_count": len(interactions.item_ids),
        "interaction_count": len(interactions),
        "first_at": int(interactions.times.min()),
        "last_at": int(interactions.times.max()),
    }
