"""`count_items`: what everybody does with each item, counted by the database."""

from collections.abc import Sequence

from core import charts
from core.messages import CountItemsPayload
from ml_worker.handlers.base import Answer, Context, Handler, Job, Product


def run(jobs: Sequence[Job[CountItemsPayload]], _context: Context) -> list[Answer]:
    """One statement; nothing is read into this process."""
    return [Product({}, effects=(charts.count_items(),)) for _ in jobs]


HANDLER = Handler(payload=CountItemsPayload, run=run)
