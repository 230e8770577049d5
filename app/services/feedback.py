"""What became of what was shown: recorded in bulk, and reported."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import ForeignKeyViolation

from app.errors import UserNotFound
from core import feedback
from core.feedback import Dimension, Event, Rates, Told
from core.list_ids import origin_of


async def record_events(connection: AsyncConnection[Any], events: Sequence[Told], event: Event) -> list[str]:
    """Store what was told; what became of each: recorded, item_not_found or list_not_understood. Raises `UserNotFound`."""
    try:
        recorded = await feedback.record(events, event).run_async(connection)
    except ForeignKeyViolation as error:
        known = {one.user_id for one in events if one.user_id}
        raise UserNotFound(", ".join(sorted(known))) from error
    return [_outcome(one.list_id, one.item_id, recorded) for one in events]


def _outcome(list_id: uuid.UUID, item_id: str, recorded: set[tuple[uuid.UUID, str]]) -> str:
    if (list_id, item_id) in recorded:
        return "recorded"
    return "list_not_understood" if origin_of(list_id) is None else "item_not_found"


async def report(connection: AsyncConnection[Any], *, by: Sequence[Dimension], since: datetime, until: datetime) -> list[Rates]:
    """How often what was shown in this time was clicked, by these dimensions."""
    return await feedback.report(by=by, since=since, until=until).run_async(connection)
