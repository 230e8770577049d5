"""`refresh_lists`: divides all users into shards and submits one `refresh_shard` task for each."""

from collections.abc import Sequence
from math import ceil

from core import tasks
from core.database import transaction
from core.messages import CountItemsPayload, Payload, RefreshListsPayload, RefreshShardPayload
from ml_worker import dataset
from ml_worker.handlers.base import Answer, Context, Handler, Job, Product

USERS_PER_SHARD = 1000


def run(jobs: Sequence[Job[RefreshListsPayload]], context: Context) -> list[Answer]:
    """Plan the shards; the workers that claim them do the work."""
    return [_plan(job, context) for job in jobs]


def _plan(job: Job[RefreshListsPayload], context: Context) -> Product:
    with transaction(context.pool) as connection:
        user_count = dataset.count_users(connection)
    shard_count = job.payload.shard_count or max(1, ceil(user_count / USERS_PER_SHARD))
    shards: list[Payload] = [RefreshShardPayload(shard=shard, shard_count=shard_count) for shard in range(shard_count)]
    effects = tuple(
        tasks.submit(child, owner=job.task.owner, parent_id=job.task.id, correlation_id=job.task.correlation_id)
        for child in [*shards, CountItemsPayload()]
    )
    return Product({"user_count": user_count, "shard_count": shard_count}, effects=effects)


HANDLER = Handler(payload=RefreshListsPayload, run=run)
