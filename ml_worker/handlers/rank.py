"""`rank`: a list for one request, with its own filters and order; stored nowhere, unless it is of similar items."""

from collections.abc import Sequence

from core import similar
from core.messages import RankPayload
from ml_worker.handlers.base import Answer, Context, Handler, Job, PermanentFailure, Product, Retry, no_model
from ml_worker.ranking import NoModel


def run(jobs: Sequence[Job[RankPayload]], context: Context) -> list[Answer]:
    """One by one: each is narrowed in its own way."""
    return [_rank(job.payload, context) for job in jobs]


def _rank(payload: RankPayload, context: Context) -> Answer:
    try:
        ranked = context.ranker.rank(payload)
    except NoModel as error:
        return PermanentFailure(error.code, str(error)) if error.code == "user_not_found" else no_model(error)
    made = ranked.list
    result = {
        "list_id": str(made.list_id),
        "model_version": made.model_version_id,
        "is_cold": made.is_cold,
        "hints": list(ranked.hints),
        "entries": made.entries.columns(),
    }
    # Of an item that the model does not know nothing is stored, since the next time it may be known; nor are some of the items for all.
    is_kept = payload.surface == "similar" and not made.is_cold and not payload.narrowing.is_narrow
    effects = (similar.write(payload.item_ids[0], made),) if is_kept else ()
    return Product(result, effects=effects)


HANDLER = Handler(payload=RankPayload, run=run, max_batch=16, retry=Retry(base=0.05, cap=0.2))
