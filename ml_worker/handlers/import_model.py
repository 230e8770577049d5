"""`import_model`: loads the model of a stored bundle once and registers it."""

from collections.abc import Sequence

from core import tasks
from core.bundles import BundleRefused
from core.database import transaction
from core.messages import ImportModelPayload, RefreshListsPayload
from core.model_versions import find_live
from ml_worker import importing
from ml_worker.handlers.base import Answer, Context, Handler, Job, PermanentFailure, Product


def run(jobs: Sequence[Job[ImportModelPayload]], context: Context) -> list[Answer]:
    """In a child, because the arrays of a stranger are of any size."""
    return [_import(job, context) for job in jobs]


def _import(job: Job[ImportModelPayload], context: Context) -> Answer:
    context.progress(0.0, "loading the model")
    try:
        with transaction(context.pool) as connection:
            is_first = find_live().run(connection) is None
            made = importing.register(connection, context.registry, job.payload.artifact, source=job.payload.source, task_id=job.task.id)
    except BundleRefused as error:
        return PermanentFailure("bundle_refused", f"the bundle from {job.payload.source} was not taken: {error}")
    effects = tuple(made.effects)
    if is_first and job.payload.refresh_lists:
        effects += (
            tasks.submit(RefreshListsPayload(), owner=job.task.owner, parent_id=job.task.id, correlation_id=job.task.correlation_id),
        )
    return Product({"id": made.version_id, "algorithm": made.algorithm, "goes_live": is_first}, effects=effects)


HANDLER = Handler(payload=ImportModelPayload, run=run, runs_in_child=True)
