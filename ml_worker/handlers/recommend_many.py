"""`recommend_many`: the lists of up to a thousand users in one task, with what became of each."""

from typing import Any

from core.lists import ComputedList
from core.messages import RecommendManyPayload
from ml_worker.handlers.base import Context, Handler, Product, each


def _compute(payload: RecommendManyPayload, context: Context) -> Product:
    user_ids = list(dict.fromkeys(payload.user_ids))
    made = context.lists_of(user_ids)
    items = [_told(user_id, made.get(user_id)) for user_id in user_ids]
    return Product({"user_count": len(user_ids), "list_count": len(made), "items": items}, lists=tuple(made.values()))


def _told(user_id: str, made: ComputedList | None) -> dict[str, Any]:
    if made is None:
        return {"user_id": user_id, "outcome": "user_not_found"}
    return {
        "user_id": user_id,
        "outcome": "computed",
        "list_id": str(made.list_id),
        "model_version": made.model_version_id,
        "entry_count": len(made.entries),
        "is_cold": made.is_cold,
    }


HANDLER = Handler(payload=RecommendManyPayload, run=each(_compute))
