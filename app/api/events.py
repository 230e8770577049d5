"""Server-sent events, as all streams of the API have them."""

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import Header
from fastapi.sse import EventSourceResponse

from app.api.patterns import EVENT_ID

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", pattern=EVENT_ID, description="The id of the last event that was seen; browsers send it."),
]


def last_seen(last_event_id: str | None) -> int:
    """The number of the last event that was seen; -1 for none."""
    return -1 if last_event_id is None else int(last_event_id)


def stream(events: AsyncGenerator[bytes]) -> EventSourceResponse:
    """The events as they come, past every cache and buffer on their way."""
    return EventSourceResponse(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
