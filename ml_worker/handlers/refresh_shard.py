"""`refresh_shard`: the lists of all users of one shard, stored together."""

from collections.abc import Sequence

from core.database import transaction
from core.lists import ComputedList
from core.messages import RefreshShardPayload
from ml_worker import dataset
from ml_worker.handlers.base import Answer, Context, Handler, Job, Product, no_model
from ml_worker.ranking import NoModel

USERS_PER_BATCH = 256


def run(jobs: Sequence[Job[RefreshShardPayload]], context: Context) -> list[Answer]:
    """Compute in batches of users, reporting progress after each."""
    try:
        return [_refresh(job.payload, context) for job in jobs]
    except NoModel as error:
        return [no_model(error) for _ in jobs]


def _refresh(payload: RefreshShardPayload, context: Context) -> Product:
    with transaction(context.pool) as connection:
        user_ids = dataset.read_shard(connection, shard=payload.shard, shard_count=payload.shard_count)
    made: list[ComputedList] = []
    for start in range(0, len(user_ids), USERS_PER_BATCH):
        context.progress(start / len(user_ids), f"{start:,} of {len(user_ids):,} users")
        made.extend(context.ranker.compute(user_ids[start : start + USERS_PER_BATCH]).values())
    return Product({"user_count": len(user_ids), "list_count": len(made)}, lists=tuple(made))


HANDLER = Handler(payload=RefreshShardPayload, run=run)
