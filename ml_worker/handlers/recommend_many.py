"""`recommend_many`: the lists of up to a thousand users in one task, with what became of each."""

from collections.abc import Sequence
from typing import Any

from core.lists import ComputedList
from core.messages import RecommendManyPayload
from ml_worker.handlers.base import Answer, Context, Handler, Job, Product, no_model
from ml_worker.ranking import NoModel


def run(jobs: Sequence[Job[RecommendManyPayload]], context: Context) -> list[Answer]:
    """Compute in batches of users, reporting progress after each."""
    try:
        return [_compute(job.payload, context) for job in jobs]
    except NoModel as error:
        return [no_model(error) for _ in jobs]


def _compute(payload: RecommendManyPayload, context: Context) -> Product:
    user_ids = list(dict.fromkeys(payload.user_ids))

    def report(done: int) -> None:
        context.progress(done / len(user_ids), f"{done:,} of {len(user_ids):,} users")

    made = context.ranker.compute_many(user_ids, report=report)
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


HANDLER = Handler(payload=RecommendManyPayload, run=run)
