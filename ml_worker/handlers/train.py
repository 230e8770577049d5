"""`train`: fits models on everything that happened, or brings the live one up to date; the best that the gate lets through goes live."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core import model_versions, tasks
from core.database import transaction
from core.messages import RefreshListsPayload, TrainPayload
from core.statement import Row
from ml_worker import dataset, training
from ml_worker.dataset import Arrivals
from ml_worker.handlers.base import Answer, Context, Handler, Job, PermanentFailure, Product, Retry
from ml_worker.recipes import InvalidParameters, TooLarge, check_memory, recipes
from ml_worker.recommenders.base import NothingToLearn, TrainingDiverged
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.registry import UnknownAlgorithm
from ml_worker.recommenders.updating import FullTrainingNeeded
from ml_worker.registry import UNUSABLE, TrainedModel, preferred, window
from ml_worker.training import Live, Standard

MAX_DRIFT = 0.01
"""A partial training starts from sums over the old interactions; of those at most this share may have been deleted meanwhile."""


def run(jobs: Sequence[Job[TrainPayload]], context: Context) -> list[Answer]:
    """Read the interactions once for every algorithm of a task; no transaction is open while a model is fitted."""
    return [_train(job, context) for job in jobs]


def _train(job: Job[TrainPayload], context: Context) -> Answer:
    train = _train_partial if job.payload.scope == "partial" else _train_full
    try:
        return train(job, context)
    except (UnknownAlgorithm, InvalidParameters) as error:
        return PermanentFailure(error.code if isinstance(error, InvalidParameters) else "unknown_algorithm", str(error))
    except NothingToLearn:
        return PermanentFailure("no_data", "nobody has liked anything yet: import or record some interactions first")
    except TooLarge as error:
        return PermanentFailure("memory_limit", str(error))
    except TrainingDiverged as error:
        return PermanentFailure("training_diverged", str(error))


@dataclass(frozen=True, slots=True)
class _Read:
    """What a training knows when it begins."""

    interactions: Interactions
    arrivals: Arrivals
    live: Row | None


def _read(context: Context, *, after: int = dataset.LAST_ID) -> _Read:
    context.progress(0.0, "reading interactions")
    with transaction(context.pool) as connection:
        interactions = dataset.read_interactions(
            connection,
            context.settings.interaction_weights,
            after=after,
            report=lambda count: context.progress(0.0, f"{count} interactions read"),
        )
        read = _Read(interactions, dataset.read_arrivals(connection, after=after), model_versions.find_live().run(connection))
    if not len(interactions):
        raise NothingToLearn("there are no interactions")
    return read


def _train_full(job: Job[TrainPayload], context: Context) -> Answer:
    asked = recipes(job.payload.algorithms, job.payload.parameters, budget_seconds=context.settings.choosing_seconds)
    read = _read(context)
    known = window(read.interactions, last_id=read.arrivals.last_id)
    check_memory(asked, read.interactions, limit_mb=context.settings.child_memory_mb)
    trained = training.train_full(
        asked,
        read.interactions,
        live=Live.of(read.live) if read.live else None,
        standard=Standard.of(context.settings),
        window=known,
        progress=context.progress,
    )
    return _publish(job, context, trained, read)


def _train_partial(job: Job[TrainPayload], context: Context) -> Answer:
    with transaction(context.pool) as connection:
        live = model_versions.find_live().run(connection)
        last_id = live["data_window"].get("last_id") if live else None
        arrivals = dataset.read_arrivals(connection, after=last_id or 0)
    if why := _nothing_to_update(live, arrivals):
        return _skipped(why)
    assert live is not None
    try:
        model = context.registry.load(live["artifact"])
        read = _read(context, after=live["data_window"]["last_id"])
        check_memory([model], read.interactions, limit_mb=context.settings.child_memory_mb)
        known = window(read.interactions, last_id=read.arrivals.last_id)
        updated = training.train_partial(
            model,
            read.interactions,
            since=read.arrivals.known_count,
            live=Live.of(live),
            standard=Standard.of(context.settings),
            window=known,
            progress=context.progress,
        )
    except (FullTrainingNeeded, *UNUSABLE) as error:
        return _skipped(f"version {live['id']} cannot be updated: {error}; a full training can")
    return _publish(job, context, [updated], read)


def _nothing_to_update(live: Row | None, arrivals: Arrivals) -> str | None:
    """Why there is nothing that a partial training could do."""
    if live is None:
        return "no version is live; a full training makes one"
    if live["data_window"].get("last_id") is None:
        return f"version {live['id']} does not say which of the interactions here it knows; a full training does"
    if not arrivals.new_count:
        return f"nothing has happened since version {live['id']} was trained"
    known = live["data_window"]["interaction_count"]
    if abs(known - arrivals.known_count) > MAX_DRIFT * known:
        return f"of the {known:,} interactions that version {live['id']} was trained on {arrivals.known_count:,} are here; train in full"
    return None


def _skipped(why: str) -> Product:
    return Product({"scope": "partial", "models": [], "goes_live": None, "is_skipped": True, "note": why})


def _publish(job: Job[TrainPayload], context: Context, trained: Sequence[TrainedModel], read: _Read) -> Product:
    replaced_id = read.live["id"] if read.live else None
    with transaction(context.pool) as connection:
        versions, effects = context.registry.publish(
            connection, trained, task_id=job.task.id, replaced_id=replaced_id, keep=context.settings.models_kept
        )
    place = preferred(trained)
    if job.payload.refresh_lists and place is not None:
        effects += (
            tasks.submit(RefreshListsPayload(), owner=job.task.owner, parent_id=job.task.id, correlation_id=job.task.correlation_id),
        )
    models = [_told(version, model) for version, model in zip(versions, trained, strict=True)]
    result = {
        "scope": job.payload.scope,
        "interaction_count": len(read.interactions),
        "new_count": read.arrivals.new_count if job.payload.scope == "partial" else None,
        "models": models,
        "goes_live": None if place is None else versions[place],
        "is_skipped": False,
        "note": None if place is not None else f"the gate let nothing through: {trained[0].gate['reason']}",
    }
    return Product(result, effects=effects)


def _told(version: int, model: TrainedModel) -> dict[str, Any]:
    return {
        "id": version,
        "algorithm": model.recommender.name,
        "training_seconds": round(model.training_seconds, 3),
        "verdict": model.gate.get("verdict"),
        "reason": model.gate.get("reason"),
        "passed_over": model.passed_over,
    }


HANDLER = Handler(payload=TrainPayload, run=run, runs_in_child=True, retry=Retry(base=5.0, cap=300.0))
