"""`train`: fits models on everything that happened; the first of them becomes the current model."""

import time
from collections.abc import Sequence

from core import tasks
from core.database import transaction
from core.messages import RefreshListsPayload, TrainPayload
from ml_worker import dataset
from ml_worker.handlers.base import Answer, Context, Handler, Job, PermanentFailure, Product, ReportProgress, Retry
from ml_worker.recommenders.base import NothingToLearn
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.registry import RECOMMENDERS
from ml_worker.registry import TrainedModel

READING_SHARE = 0.1


def run(jobs: Sequence[Job[TrainPayload]], context: Context) -> list[Answer]:
    """Read the interactions once for every algorithm of a task; no transaction is open while a model is fitted."""
    return [_train(job, context) for job in jobs]


def _train(job: Job[TrainPayload], context: Context) -> Answer:
    if unknown := [name for name in job.payload.algorithms if name not in RECOMMENDERS]:
        known = ", ".join(sorted(RECOMMENDERS))
        return PermanentFailure("unknown_algorithm", f"no algorithm is named {', '.join(unknown)}; known are {known}")
    context.progress(0.0, "reading interactions")
    with transaction(context.pool) as connection:
        interactions = dataset.read_interactions(connection, context.settings.interaction_weights)
    try:
        trained = [
            _fit(name, interactions, _stage(context.progress, number, job.payload.algorithms))
            for number, name in enumerate(job.payload.algorithms)
        ]
    except NothingToLearn:
        return PermanentFailure("no_data", "nobody has liked anything yet: import or record some interactions first")
    with transaction(context.pool) as connection:
        versions, effects = context.registry.publish(connection, trained, task_id=job.task.id)
    if job.payload.refresh_lists:
        effects += (
            tasks.submit(RefreshListsPayload(), owner=job.task.owner, parent_id=job.task.id, correlation_id=job.task.correlation_id),
        )
    result = {
        "interaction_count": len(interactions),
        "models": [{"id": version, "algorithm": model.recommender.name} for version, model in zip(versions, trained, strict=True)],
    }
    return Product(result, effects=effects)


def _stage(progress: ReportProgress, number: int, algorithms: Sequence[str]) -> ReportProgress:
    """Map the share done of one algorithm into the share done of the task."""
    width = (1 - READING_SHARE) / len(algorithms)

    def report(done: float, note: str | None = None) -> None:
        prefix = f"training {algorithms[number]}"
        progress(READING_SHARE + (number + done) * width, f"{prefix}: {note}" if note else prefix)

    return report


def _fit(name: str, interactions: Interactions, progress: ReportProgress) -> TrainedModel:
    started = time.monotonic()
    recommender = RECOMMENDERS[name]()
    recommender.fit(interactions, progress=progress)
    return TrainedModel(recommender, interactions, training_seconds=time.monotonic() - started)


HANDLER = Handler(payload=TrainPayload, run=run, runs_in_child=True, retry=Retry(base=5.0, cap=300.0))
