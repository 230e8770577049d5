"""`recommend`: the list of one user from the user's whole history; batched over users."""

from collections.abc import Sequence

from core.lists import ComputedList
from core.messages import RecommendPayload
from ml_worker.handlers.base import Answer, Context, Handler, Job, PermanentFailure, Product, no_model
from ml_worker.ranking import NoModel


def run(jobs: Sequence[Job[RecommendPayload]], context: Context) -> list[Answer]:
    """Compute the lists of all users of the batch in one go."""
    try:
        lists = context.ranker.compute(sorted({job.payload.user_id for job in jobs}))
    except NoModel as error:
        return [no_model(error) for _ in jobs]
    return [_answer(job.payload.user_id, lists) for job in jobs]


def _answer(user_id: str, lists: dict[str, ComputedList]) -> Answer:
    made = lists.get(user_id)
    if made is None:
        return PermanentFailure("user_not_found", f"there is no user {user_id!r} any more")
    result = {
        "user_id": user_id,
        "list_id": str(made.list_id),
        "model_version": made.model_version_id,
        "entry_count": len(made.entries),
        "is_cold": made.is_cold,
    }
    return Product(result, lists=(made,))


HANDLER = Handler(payload=RecommendPayload, run=run, max_batch=32)
