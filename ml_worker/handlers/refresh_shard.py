"""`refresh_shard`: the lists of all users of one shard, stored together."""

from collections.abc import Sequence

from core.database import transaction
from core.messages import RefreshShardPayload
from ml_worker import dataset
from ml_worker.handlers.base import Answer, Context, Handler, Job, Product, no_model
from ml_worker.ranking import NoModel


def run(jobs: Sequence[Job[RefreshShardPayload]], context: Context) -> list[Answer]:
    """Compute in batches of users, reporting progress after each."""
    try:
        return [_refresh(job.payload, context) for job in jobs]
    except NoModel as error:
        return [no_model(error) for _ in jobs]


def _refresh(payload: RefreshShardPayload, context: Context) -> Product:
    with transaction(context.pool) as connection:
        user_ids = dataset.read_shard(connection, shard=payload.shard, shard_count=payload.shard_count)

    def report(done: int) -> None:
        context.progress(done / len(user_ids), f"{done:,} of {len(user_ids):,} users")

    made = context.ranker.compute_many(user_ids, report=report)
    return Product({"user_count": len(user_ids), "list_count": len(made)}, lists=tuple(made.values()))


HANDLER = Handler(payload=RefreshShardPayload, run=run)
