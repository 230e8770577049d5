"""`/impressions`, `/clicks` and their report: what became of the entries that were shown."""

import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field

from app import rates
from app.api.deps import Administrator, Connection, CurrentAccount, Transaction, acts_for_anybody, check_may_act_for
from app.api.problems import documented
from app.api.shapes import Answer, Listing, Moment, Request
from app.errors import Forbidden, NotAuthenticated, RequestInvalid, UserNotFound
from app.services import feedback
from app.services.accounts import SignedIn
from core.feedback import Dimension, Event, Rates, Told
from core.identifiers import EntityId

router = APIRouter(tags=["recommendations"])


class ShownEntry(Request):
    list_id: Annotated[uuid.UUID, Field(strict=False, description="The `list_id` of the answer that held the entry.")]
    item_id: EntityId
    position: Annotated[int, Field(ge=1, le=10_000)] | None = Field(default=None, description="The place it was shown at, from 1.")
    user_id: EntityId | None = Field(default=None, description="By default the account's own user.")
    occurred_at: Moment | None = Field(default=None, description="By default now.")


class ShownCreate(Request):
    model_config = ConfigDict(
        json_schema_extra={"example": {"data": [{"list_id": "00000000-0003-8000-8000-00000000002a", "item_id": "movie-1", "position": 1}]}}
    )

    data: Annotated[list[ShownEntry], Field(min_length=1, max_length=1000)]


class RecordedOut(Answer):
    recorded_count: int
    outcomes: list[str] = Field(description="Of each entry: recorded, item_not_found or list_not_understood.")


class RatesOut(Answer):
    day: date | None
    algorithm: str | None = Field(description="Or the surface, for lists of no model.")
    model_version: int | None
    surface: str | None
    position: int | None
    impressions: int
    clicks: int
    conversions: int
    click_through: float
    click_through_low: float | None = Field(description="95 % interval, as if impressions were independent (Wilson).")
    click_through_high: float | None
    conversion: float


@router.post("/impressions", summary="Tell what was shown", responses=documented(NotAuthenticated, Forbidden, UserNotFound))
async def create_impressions(body: ShownCreate, account: CurrentAccount, connection: Transaction) -> RecordedOut:
    """In bulk. The same list and item again changes nothing."""
    return await _record(body.data, account, connection, "impression")


@router.post("/clicks", summary="Tell what was clicked", responses=documented(NotAuthenticated, Forbidden, UserNotFound))
async def create_clicks(body: ShownCreate, account: CurrentAccount, connection: Transaction) -> RecordedOut:
    """In bulk. A click implies that the entry was shown."""
    return await _record(body.data, account, connection, "click")


async def _record(shown: Sequence[ShownEntry], account: SignedIn, connection: Connection, event: Event) -> RecordedOut:
    for entry in shown:
        if entry.user_id is not None:
            check_may_act_for(account, entry.user_id)
    own = None if acts_for_anybody(account) else account.user_id
    told = [Told(entry.list_id, entry.item_id, entry.user_id or own, entry.position, entry.occurred_at) for entry in shown]
    outcomes = await feedback.record_events(connection, told, event)
    return RecordedOut(recorded_count=outcomes.count("recorded"), outcomes=outcomes)


@router.get("/reports/click-through", summary="What was shown and what came of it", responses=documented(NotAuthenticated, Forbidden))
async def read_report(
    *,
    _account: Administrator,
    connection: Connection,
    by: Annotated[list[Dimension] | None, Query(max_length=5, description="How it is divided; by day and algorithm by default.")] = None,
    days: Annotated[int, Query(ge=1, le=400, description="How far back, from the end.")] = 30,
    until: Annotated[Moment | None, Query(description="The end; by default now.")] = None,
) -> Listing[RatesOut]:
    """Shares of impressions that were clicked, and that led to an interaction which named the list."""
    end = until or datetime.now(UTC) + timedelta(seconds=1)
    try:
        since = end - timedelta(days=days)
    except OverflowError:
        raise RequestInvalid.because("until", "is too early") from None
    found = await feedback.report(connection, by=by or ["day", "algorithm"], since=since, until=end)
    return Listing(data=[_out(row) for row in found])


def _out(row: Rates) -> RatesOut:
    clicked = rates.wilson(row.clicks, row.impressions)
    return RatesOut(
        day=row.day,
        algorithm=row.algorithm,
        model_version=row.model_version_id,
        surface=row.surface,
        position=row.position,
        impressions=row.impressions,
        clicks=row.clicks,
        conversions=row.conversions,
        click_through=clicked.value,
        click_through_low=clicked.low,
        click_through_high=clicked.high,
        conversion=row.conversions / row.impressions,
    )
