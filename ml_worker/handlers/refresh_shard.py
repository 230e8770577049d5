"""`refresh_shard`: the lists of all users of one shard, stored together."""

from core.database import transaction
from core.messages import RefreshShardPayload
from ml_worker import dataset
from ml_worker.handlers.base import Context, Handler, Product, each


def _refresh(payload: RefreshShardPayload, context: Context) -> Product:
    with transaction(context.pool) as connection:
        user_ids = dataset.read_shard(connection, shard=payload.shard, shard_count=payload.shard_count)
    made = context.lists_of(user_ids)
    return Product({"user_count": len(user_ids), "list_count": len(made)}, lists=tuple(made.values()))


HANDLER = Handler(payload=RefreshShardPayload, run=each(_refresh))
