"""`/recommendations`: the list of a user, with reasons."""

import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from app.api.deps import CorrelationId, CurrentAccount, Process, check_may_act_for
from app.api.problems import documented
from app.api.shapes import Answer, Instant
from app.errors import Forbidden, NotAuthenticated, UserNotFound
from app.services import recommendations
from app.services.recommendations import Shown
from core.identifiers import EntityId
from core.lists import Source, StoredEntry

router = APIRouter(prefix="/recommendations", tags=["recommendations"])


class ListedItemOut(Answer):
    id: str
    title: str
    categories: list[str]
    image_url: str | None
    released_at: Instant | None


class NamedItemOut(Answer):
    id: str
    title: str


class ReasonOut(Answer):
    type: Literal["because_you_watched", "popular"]
    items: list[NamedItemOut] = Field(description="The items of the user's history that speak for the entry, strongest first.")


class EntryOut(Answer):
    position: int = Field(description="From 1.")
    item: ListedItemOut
    score: float = Field(description="Comparable within this list only.")
    source: Source
    reason: ReasonOut


class RecommendationsOut(Answer):
    user_id: str
    list_id: uuid.UUID | None = Field(description="Null as long as no list was made.")
    model_version: int | None
    algorithm: str | None
    computed_at: Instant | None
    is_cold: bool = Field(description="Whether the user was too new for a personal list.")
    is_stale: bool = Field(description="Whether the user did something that the list does not know of.")
    task_id: uuid.UUID | None = Field(description="The task under way that will replace the list.")
    entries: list[EntryOut]


@router.get("/{user_id}", summary="The list of a user", responses=documented(NotAuthenticated, Forbidden, UserNotFound))
async def read_recommendations(
    *,
    user_id: EntityId,
    account: CurrentAccount,
    process: Process,
    correlation_id: CorrelationId,
    count: Annotated[int, Query(ge=1, le=100, description="At most so many entries.")] = 20,
    wait: Annotated[float, Query(ge=0, le=30, description="Seconds to wait for a fresh list where the stored one is stale.")] = 0,
) -> RecommendationsOut:
    """What is stored; entries the user has met since or that were hidden are left out.

    With `wait`, a list that is stale or missing is computed anew first.
    """
    check_may_act_for(account, user_id)
    shown = await recommendations.read_list(
        process.pool,
        process.finished,
        user_id=user_id,
        count=count,
        wait_seconds=wait,
        owner=str(account.id),
        correlation_id=correlation_id,
    )
    return _out(shown)


def _out(shown: Shown) -> RecommendationsOut:
    stored = shown.stored
    return RecommendationsOut(
        user_id=stored.user_id,
        list_id=stored.list_id,
        model_version=stored.model_version_id,
        algorithm=stored.algorithm,
        computed_at=stored.computed_at,
        is_cold=stored.is_cold,
        is_stale=stored.is_stale,
        task_id=shown.task_id,
        entries=[_entry(position, entry) for position, entry in enumerate(stored.entries, start=1)],
    )


def _entry(position: int, entry: StoredEntry) -> EntryOut:
    return EntryOut(
        position=position,
        item=ListedItemOut(
            id=entry.item_id,
            title=entry.title,
            categories=entry.categories,
            image_url=entry.image_url,
            released_at=entry.released_at,
        ),
        score=entry.score,
        source=entry.source,
        reason=ReasonOut(
            type=entry.reason, items=[NamedItemOut(id=named["item_id"], title=named["title"]) for named in entry.reason_items]
        ),
    )
