"""`/charts`, `/items/{id}/similar`, sessions and `/discover`: lists beside a user's own."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import ConfigDict, Field

from app.api.deps import CurrentAccount, check_may_act_for
from app.api.lists import LIST_QUERY, NOT_MODIFIED, AtDesk, IfNoneMatch, ListOut, Narrowed, list_document, tagged
from app.api.problems import documented
from app.api.shapes import Answer, Request
from app.errors import Forbidden, ItemNotFound, NotAuthenticated
from app.services import discovery
from core.charts import Chart
from core.identifiers import EntityId
from core.narrowing import MAX_COUNT, MAX_OFFSET, Name, Narrowing, Share, Year

router = APIRouter(tags=["recommendations"])


class SessionCreate(Request):
    model_config = ConfigDict(json_schema_extra={"example": {"item_ids": ["movie-1"], "count": 10}})

    item_ids: Annotated[list[EntityId], Field(min_length=1, max_length=100, description="What was looked at, oldest first.")]
    count: Annotated[int, Field(ge=1, le=MAX_COUNT)] = 20
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = 0
    category: Annotated[list[Name], Field(max_length=20, default_factory=list)]
    match: Literal["any", "all"] = Field(default="any", description="Whether an item needs any or all of the categories.")
    tags: Annotated[list[Name], Field(max_length=20, default_factory=list)]
    year_from: Year | None = None
    year_to: Year | None = None
    exclude: Annotated[list[EntityId], Field(max_length=300, default_factory=list)]
    diversity: Share | None = None
    new_share: Share | None = None
    max_per_category: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = None

    def narrowing(self) -> Narrowing:
        """What is asked for, as the services know it."""
        asked = self.model_dump(exclude={"item_ids", "category"})
        return Narrowing(categories=tuple(self.category), **asked)


class RowOut(ListOut):
    kind: str = Field(description="for_you, because_you_watched, category, trending, newest or popular.")
    subject: str | None = Field(description="The item or the category the row is about.")
    title: str | None = Field(description="Its title.")


class PageOut(Answer):
    user_id: str
    is_cold: bool = Field(description="Whether there is no personal list yet.")
    rows: list[RowOut]


def get_reader(
    account: CurrentAccount, user_id: Annotated[EntityId | None, Query(description="Without what this user has met.")] = None
) -> str | None:
    if user_id is not None:
        check_may_act_for(account, user_id)
    return user_id


Reader = Annotated[str | None, Depends(get_reader)]


@router.get(
    "/charts/{chart}",
    summary="What is popular, trending or new",
    response_model=ListOut,
    responses={**NOT_MODIFIED, **documented(NotAuthenticated, Forbidden)},
    openapi_extra=LIST_QUERY.documented,
)
async def read_chart(chart: Chart, reader: Reader, desk: AtDesk, asked: Narrowed, if_none_match: IfNoneMatch = None) -> Response:
    """`popular` counts everything; `trending` counts an event half after a week; `newest` goes by release, or else addition."""
    narrowing = asked.narrowing()
    made = await discovery.read_chart(desk, chart, narrowing=narrowing, user_id=reader)
    return tagged(list_document(made, offset=narrowing.offset), if_none_match)


@router.get(
    "/items/{item_id}/similar",
    summary="Items similar to one",
    response_model=ListOut,
    responses={**NOT_MODIFIED, **documented(NotAuthenticated, Forbidden, ItemNotFound)},
    openapi_extra=LIST_QUERY.documented,
)
async def read_similar(item_id: EntityId, reader: Reader, desk: AtDesk, asked: Narrowed, if_none_match: IfNoneMatch = None) -> Response:
    """By the live model: what it recommends to somebody who liked this item alone."""
    narrowing = asked.narrowing()
    made = await discovery.read_similar(desk, item_id, narrowing=narrowing, user_id=reader)
    return tagged(list_document(made, offset=narrowing.offset), if_none_match)


@router.post(
    "/recommendations/session",
    summary="A list from a few items, without a user",
    response_model=ListOut,
    responses=documented(NotAuthenticated),
)
async def create_session_list(body: SessionCreate, _account: CurrentAccount, desk: AtDesk) -> Response:
    """What the live model recommends to somebody who liked just these.

    Items it does not know are left aside; hints name ids that no item has.
    """
    narrowing = body.narrowing()
    made = await discovery.read_session(desk, body.item_ids, narrowing=narrowing)
    return tagged(list_document(made, offset=narrowing.offset), None)


@router.get(
    "/discover/{user_id}",
    summary="A whole page of lists",
    response_model=PageOut,
    responses={**NOT_MODIFIED, **documented(NotAuthenticated, Forbidden)},
)
async def read_page(
    *,
    user_id: EntityId,
    account: CurrentAccount,
    desk: AtDesk,
    rows: Annotated[int, Query(ge=0, le=10, description="At most so many rows of each kind.")] = 3,
    count: Annotated[int, Query(ge=1, le=50, description="At most so many entries in each row.")] = 12,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The user's own list, what it owes to single films and categories, and the charts, in one call."""
    check_may_act_for(account, user_id)
    is_cold, found = await discovery.read_page(desk, user_id, row_count=rows, count=count)
    document: dict[str, Any] = {
        "user_id": user_id,
        "is_cold": is_cold,
        "rows": [{"kind": row.kind, "subject": row.subject, "title": row.title, **list_document(row.made)} for row in found],
    }
    return tagged(document, if_none_match)
