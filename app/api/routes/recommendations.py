"""`/recommendations`: the list of a user, with reasons."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import Field

from app.api.deps import CurrentAccount, CurrentBearer, Process, Services, acts_for_anybody, check_may_act_for
from app.api.events import LastEventId, last_seen, stream
from app.api.lists import NOT_MODIFIED, AskedOfOrder, EntryOut, IfNoneMatch, desk_of, entry_document, instant, tagged
from app.api.patterns import CURSOR
from app.api.problems import documented
from app.api.queries import QueryOf
from app.api.shapes import Answer, Instant
from app.changes import ListSight
from app.errors import Forbidden, ListReplaced, NotAuthenticated, RequestInvalid, UserNotFound
from app.model_errors import ModelHasNoArtifact, ModelNotFound
from app.services import recommendations
from app.services.recommendations import Shown
from core.identifiers import EntityId
from core.list_ids import origin_of
from core.narrowing import MAX_OFFSET, Narrowing

router = APIRouter(prefix="/recommendations", tags=["recommendations"])

FRESH_SECONDS: Final = 5.0
"""How long a fresh list is waited for if nothing else is said."""


class RecommendationsOut(Answer):
    user_id: str
    list_id: uuid.UUID = Field(description="Send it back with impressions, clicks and interactions.")
    model_version: int | None
    algorithm: str | None
    computed_at: Instant | None = Field(description="Null as long as no list was made: then the entries are popular ones.")
    is_cold: bool = Field(description="Whether the user was too new for a personal list.")
    is_stale: bool = Field(description="Whether the user did something that the list does not know of.")
    is_complete: bool = Field(description="False where more was asked for than could be computed in time.")
    hints: list[str] = Field(description="What to know of an answer that is empty, or less than was asked for.")
    task_id: uuid.UUID | None = Field(description="The task under way that will replace the list.")
    next_cursor: str | None = Field(description="Send it back as `cursor` for what follows in this list; null at its end.")
    entries: list[EntryOut]


class Asked(AskedOfOrder):
    model: int | None = Field(default=None, ge=1, lt=2**63, description="A certain model version (admin).")
    fresh: bool = Field(default=False, description="Wait for a list that knows everything the user did.")
    wait: float | None = Field(default=None, ge=0, le=30, description="Seconds to wait for it; with `fresh` 5 unless said otherwise.")
    cursor: str | None = Field(default=None, pattern=CURSOR, description="The `next_cursor` of an answer, with its other parameters.")
    strict: bool = Field(default=False, description="404 for a user that is not known, instead of what is popular.")

    @property
    def wait_seconds(self) -> float:
        if self.wait is not None:
            return self.wait
        return FRESH_SECONDS if self.fresh else 0.0

    def part(self) -> tuple[uuid.UUID | None, Narrowing]:
        """What is asked for; with a cursor the list that it goes through, and its place there. Raises `RequestInvalid`."""
        narrowing = self.narrowing()
        if self.cursor is None:
            return None, narrowing
        if narrowing.is_reordered or narrowing.offset:
            raise RequestInvalid.because("cursor", "goes through the stored list: without offset and parameters that change the order")
        list_id, _, offset = self.cursor.partition(".")
        return uuid.UUID(list_id), narrowing.model_copy(update={"offset": min(int(offset), MAX_OFFSET)})

    def _wanted(self) -> dict[str, Any]:
        return {**super()._wanted(), "model_version": self.model}


QUERY: Final = QueryOf(Asked)


class NewListOut(Answer):
    """The data of the event `list`."""

    user_id: str
    list_id: uuid.UUID
    model_version: int | None
    computed_at: Instant


@router.get(
    "/{user_id}",
    summary="The list of a user",
    response_model=RecommendationsOut,
    responses={**NOT_MODIFIED, **documented(NotAuthenticated, Forbidden, UserNotFound, ModelNotFound, ModelHasNoArtifact, ListReplaced)},
    openapi_extra=QUERY.documented,
)
async def read_recommendations(
    *,
    user_id: EntityId,
    bearer: CurrentBearer,
    asked: Annotated[Asked, Depends(QUERY)],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """What is stored, at once; entries the user has met since or that were hidden are left out.

    With `fresh` or `wait`, a list that is stale or missing is computed anew first. With `cursor` the answer goes on in the very list, or
    says that it was replaced (409); nothing comes twice, but items met meanwhile let as many that follow be skipped.
    """
    list_id, narrowing = asked.part()
    account, stored = await bearer.account_beside(recommendations.find(user_id, narrowing))
    check_may_act_for(account, user_id)
    if asked.model is not None and account.role != "admin":
        raise Forbidden("Only the role admin may choose the model version.")
    desk = desk_of(bearer.services, account, bearer.correlation_id)
    if list_id is not None:
        shown = await recommendations.read_on(desk, stored, user_id=user_id, narrowing=narrowing, list_id=list_id)
    elif stored is None and asked.strict and acts_for_anybody(account):
        raise UserNotFound(user_id)
    else:
        shown = await recommendations.read_list(desk, stored, user_id=user_id, narrowing=narrowing, wait_seconds=asked.wait_seconds)
    return tagged(_document(shown, narrowing), if_none_match)


def _next_cursor(shown: Shown, narrowing: Narrowing) -> str | None:
    end, origin = narrowing.offset + narrowing.count, origin_of(shown.list_id)
    is_stored = origin is None or origin.surface != "ranked"
    goes_on = len(shown.entries) == narrowing.count and end <= MAX_OFFSET and (shown.length is None or end < shown.length)
    return f"{shown.list_id}.{end}" if is_stored and goes_on else None


def _document(shown: Shown, narrowing: Narrowing) -> dict[str, Any]:
    placed = recommendations.positions(shown.entries, offset=narrowing.offset)
    return {
        "user_id": shown.user_id,
        "list_id": str(shown.list_id),
        "model_version": shown.model_version_id,
        "algorithm": shown.algorithm,
        "computed_at": instant(shown.computed_at),
        "is_cold": shown.is_cold,
        "is_stale": shown.is_stale,
        "is_complete": shown.is_complete,
        "hints": list(shown.hints),
        "task_id": str(shown.task_id) if shown.task_id else None,
        "next_cursor": _next_cursor(shown, narrowing),
        "entries": [entry_document(position, entry) for position, entry in placed],
    }


EVENTS_EXAMPLE: Final = """event: list
data: {"user_id":"42","list_id":"2f0e4c55-5f5c-8d0c-9d0d-0c9b8a7f6e5d","model_version":3,"computed_at":"2026-11-21T08:00:00Z"}
id: 1795248000000000

: ping

"""


@router.get(
    "/{user_id}/events",
    summary="Hear of new lists as server-sent events",
    response_class=Response,
    responses={
        200: {"content": {"text/event-stream": {"example": EVENTS_EXAMPLE}}},
        **documented(NotAuthenticated, Forbidden, UserNotFound),
    },
)
async def follow_list(user_id: EntityId, account: CurrentAccount, process: Process, last_event_id: LastEventId = None) -> Response:
    """`list` whenever a list is stored for the user, first of all the one there is; read it then.

    The id of an event is the time of the list, so that whoever lost the connection sends the last one as `Last-Event-ID`, to any
    copy of the API, and is not told again what was seen. A comment comes at least every 15 seconds.
    """
    check_may_act_for(account, user_id)
    await recommendations.check_user(process.pool, user_id)
    return stream(_events(process, user_id, last_seen(last_event_id)))


async def _events(process: Services, user_id: str, seen: int) -> AsyncGenerator[bytes]:
    yield KEEPALIVE_COMMENT  # the answer begins at once
    async with aclosing(process.list_changes.follow(user_id, after=seen)) as changes:
        async for sight in changes:
            yield KEEPALIVE_COMMENT if sight is None else _event(sight)


def _event(sight: ListSight) -> bytes:
    return format_sse_event(event="list", data_str=NewListOut.model_validate(sight).model_dump_json(), id=str(sight.revision))
