"""The table of contents: which handler runs which kind."""

from typing import Any, Final

from ml_worker.handlers import count_items, import_model, rank, recommend, recommend_many, refresh_lists, refresh_shard, train
from ml_worker.handlers.base import Handler

HANDLERS: Final[dict[str, Handler[Any]]] = {
    handler.payload.kind: handler
    for handler in (
        count_items.HANDLER,
        import_model.HANDLER,
        rank.HANDLER,
        recommend.HANDLER,
        recommend_many.HANDLER,
        refresh_lists.HANDLER,
        refresh_shard.HANDLER,
        train.HANDLER,
    )
}
