"""`/interactions`: what users do."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationInfo, field_validator

from app.api.deps import Bell, CorrelationId, CurrentAccount, Session, Transaction, acts_for_anybody, check_may_act_for
from app.api.problems import documented
from app.api.shapes import Answer, Cursor, Instant, Limit, Moment, Page, Request, opened, page_of
from app.errors import Forbidden, ItemNotFound, NotAuthenticated, RequestInvalid, UserNotFound
from app.services import interactions
from app.services.accounts import SignedIn
from core.identifiers import EntityId
from core.interactions import DEFAULT_VALUES, VALUE_RANGES, InteractionType
from core.list_ids import origin_of
from core.messages import RecommendPayload

router = APIRouter(prefix="/interactions", tags=["interactions"])

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
TOLERANCE: Final = timedelta(days=1)

_KEY: TypeAdapter[tuple[AwareDatetime, int]] = TypeAdapter(tuple[AwareDatetime, Annotated[int, Field(ge=0, lt=2**63)]])


class InteractionCreate(Request):
    model_config = ConfigDict(json_schema_extra={"example": {"item_id": "movie-1", "type": "rating", "value": 4.5}})

    user_id: EntityId | None = Field(default=None, description="By default the account's own user.")
    item_id: EntityId
    type: InteractionType
    value: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None,
        validate_default=True,
        description="watch: share seen, 0 to 1, by default 1 · rating: 0.5 to 5, needed · other types: always 1.",
    )
    occurred_at: Moment | None = Field(default=None, description="By default now; at most a day ahead.")
    list_id: Annotated[uuid.UUID, Field(strict=False)] | None = Field(
        default=None,
        description="The list that showed the item, if one did: the interaction counts as its conversion, unless it is a dislike "
        "or a rating of 2.5 or less.",
    )

    @field_validator("list_id")
    @classmethod
    def _of_a_list(cls, value: uuid.UUID | None) -> uuid.UUID | None:
        if value is not None and origin_of(value) is None:
            raise ValueError("is the id of no list; send the list_id of the answer that showed the item")
        return value

    @field_validator("occurred_at")
    @classmethod
    def _plausible(cls, value: datetime | None) -> datetime | None:
        if value is not None and not EARLIEST <= value <= datetime.now(UTC) + TOLERANCE:
            raise ValueError("must be between 1970 and a day from now")
        return value

    @field_validator("value")
    @classmethod
    def _fits_its_type(cls, value: float | None, info: ValidationInfo) -> float | None:
        type_: InteractionType | None = info.data.get("type")
        if type_ is None:  # refused already
            return value
        value = DEFAULT_VALUES.get(type_) if value is None else value
        least, greatest = VALUE_RANGES[type_]
        if value is None:
            raise ValueError(f"is needed for the type {type_}")
        if not least <= value <= greatest:
            allowed = f"{least:g}" if least == greatest else f"between {least:g} and {greatest:g}"
            raise ValueError(f"must be {allowed} for the type {type_}")
        return value


class InteractionOut(Answer):
    id: int
    user_id: str
    item_id: str
    type: InteractionType
    value: float
    occurred_at: Instant
    created_at: Instant


class TitledInteractionOut(InteractionOut):
    item_title: str


@router.post(
    "", status_code=201, summary="Record an interaction", responses=documented(NotAuthenticated, Forbidden, UserNotFound, ItemNotFound)
)
async def create_interaction(
    *,
    body: InteractionCreate,
    account: CurrentAccount,
    connection: Transaction,
    correlation_id: CorrelationId,
    bell: Bell,
    response: Response,
) -> InteractionOut:
    """The user's list follows: the header `X-Task-ID` names the task that computes it.

    The same user, item, type and time again replaces the value.
    """
    assert body.value is not None
    recorded, task_id = await interactions.record_interaction(
        connection,
        user_id=_user_of(body, account),
        item_id=body.item_id,
        type=body.type,
        value=body.value,
        occurred_at=body.occurred_at,
        owner=str(account.id),
        correlation_id=correlation_id,
        is_rung=bell.is_on,
        list_id=body.list_id,
    )
    if task_id is not None:
        bell.ring(RecommendPayload.queue, task_id)
        response.headers["X-Task-ID"] = str(task_id)
    return InteractionOut.model_validate(recorded)


def _user_of(body: InteractionCreate, account: SignedIn) -> str:
    user_id = body.user_id or account.user_id
    if user_id is None:
        raise RequestInvalid.because("user_id", "is needed, because this account is linked to no user")
    check_may_act_for(account, user_id)
    return user_id


@router.get("", summary="List interactions, newest first", responses=documented(NotAuthenticated, Forbidden))
async def list_interactions(
    *,
    account: CurrentAccount,
    session: Session,
    user_id: Annotated[EntityId | None, Query(description="By default the account's own user; for service and admin, all.")] = None,
    item_id: Annotated[EntityId | None, Query()] = None,
    type: Annotated[InteractionType | None, Query()] = None,  # noqa: A002 (the parameter's name in the URL)
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[TitledInteractionOut]:
    if user_id is not None:
        check_may_act_for(account, user_id)
    elif not acts_for_anybody(account):
        user_id = account.user_id or ""  # an account without a user has no interactions
    rows = await interactions.list_interactions(
        session, user_id=user_id, item_id=item_id, type=type, before=opened(cursor, _KEY), limit=limit + 1
    )
    shown, next_cursor = page_of(rows, limit=limit, key=lambda row: (row[0].occurred_at, row[0].id))
    data = [TitledInteractionOut(**InteractionOut.model_validate(row).model_dump(), item_title=title) for row, title in shown]
    return Page(data=data, next_cursor=next_cursor)
