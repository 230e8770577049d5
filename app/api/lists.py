"""What the answers of all lists are made of: entries with reasons, and the parameters that narrow a list."""

import hashlib
import json
import time
import uuid
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Response
from pydantic import Field

from app.api.deps import CorrelationId, CurrentAccount, Process
from app.api.shapes import Answer, Instant
from app.desk import Desk, MadeList
from core.entries import ReasonType, Source
from core.identifiers import EntityId
from core.list_ids import Surface
from core.lists import StoredEntry
from core.narrowing import MAX_COUNT, MAX_OFFSET, Name, Narrowing
from core.topology import QueueName


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
    type: ReasonType
    items: list[NamedItemOut] = Field(description="The items of the user's history that speak for the entry, strongest first.")
    category: str | None = Field(description="With `category`: the one that speaks for the entry.")


class EntryOut(Answer):
    position: int = Field(description="From 1.")
    item: ListedItemOut
    score: float = Field(description="Comparable within this list only.")
    source: Source
    reason: ReasonOut


def entry_document(position: int, entry: StoredEntry) -> dict[str, Any]:
    """An `EntryOut` as plain values; lists are read too often to be validated by pydantic on their way out."""
    return {
        "position": position,
        "item": {
            "id": entry.item_id,
            "title": entry.title,
            "categories": entry.categories,
            "image_url": entry.image_url,
            "released_at": instant(entry.released_at),
        },
        "score": entry.score,
        "source": entry.source,
        "reason": {
            "type": entry.reason,
            "items": [{"id": named["item_id"], "title": named["title"]} for named in entry.reason_items],
            "category": entry.reason_category,
        },
    }


def instant(moment: datetime | None) -> str | None:
    """As pydantic writes it."""
    return moment.isoformat().replace("+00:00", "Z") if moment else None


class ListOut(Answer):
    """A list that belongs to no user."""

    list_id: uuid.UUID = Field(description="Send it back with impressions, clicks and interactions.")
    surface: Surface
    model_version: int | None
    algorithm: str | None
    is_complete: bool = Field(description="False where more was asked for than could be computed in time.")
    hints: list[str] = Field(description="What to know of an answer that is empty, or less than was asked for.")
    entries: list[EntryOut]


def list_document(made: MadeList, *, offset: int = 0) -> dict[str, Any]:
    """A `ListOut` as plain values."""
    return {
        "list_id": str(made.list_id),
        "surface": made.surface,
        "model_version": made.model_version_id,
        "algorithm": made.algorithm,
        "is_complete": made.is_complete,
        "hints": list(made.hints),
        "entries": [entry_document(position, entry) for position, entry in enumerate(made.entries, start=offset + 1)],
    }


IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match", max_length=1000, description="An `ETag` of an answer before.")]
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "The answer is the one whose `ETag` was sent."}}


def tagged(document: dict[str, Any], if_none_match: str | None) -> Response:
    """The document with a weak entity tag of its content, or 304 without it where the client has it (RFC 9110, 13.1.2)."""
    content = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    tag = f'W/"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if if_none_match is not None and (if_none_match.strip() == "*" or tag in (sent.strip() for sent in if_none_match.split(","))):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


async def get_narrowing(
    *,
    count: Annotated[int, Query(ge=1, le=MAX_COUNT, description="At most so many entries.")] = 20,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET, description="So many entries from the start are left out.")] = 0,
    category: Annotated[list[Name] | None, Query(max_length=20, description="Only items of these categories.")] = None,
    match: Annotated[str, Query(pattern="^(any|all)$", description="Whether an item needs any or all of the categories.")] = "any",
    tags: Annotated[list[Name] | None, Query(max_length=20, description="Only items with any of these tags.")] = None,
    year_from: Annotated[int | None, Query(ge=1, le=9999, description="Released in this year or later.")] = None,
    year_to: Annotated[int | None, Query(ge=1, le=9999, description="Released in this year or earlier.")] = None,
    exclude: Annotated[list[EntityId] | None, Query(max_length=500, description="None of these items.")] = None,
) -> Narrowing:
    return Narrowing.model_validate(
        {
            "count": count,
            "offset": offset,
            "categories": tuple(category or ()),
            "match": match,
            "tags": tuple(tags or ()),
            "year_from": year_from,
            "year_to": year_to,
            "exclude": tuple(exclude or ()),
        }
    )


Narrowed = Annotated[Narrowing, Depends(get_narrowing)]


async def get_ordering(
    *,
    narrowing: Narrowed,
    include_seen: Annotated[bool, Query(description="Items the user has met too.")] = False,
    diversity: Annotated[float | None, Query(ge=0, le=1, description="0: by score alone; 1: as unlike each other as can be.")] = None,
    new_share: Annotated[float | None, Query(ge=0, le=1, description="Share of the places that new releases get.")] = None,
    max_per_category: Annotated[int | None, Query(ge=1, le=MAX_COUNT, description="At most so many of each category.")] = None,
) -> Narrowing:
    ordering = {"include_seen": include_seen, "diversity": diversity, "new_share": new_share, "max_per_category": max_per_category}
    return narrowing.model_copy(update=ordering)


Ordered = Annotated[Narrowing, Depends(get_ordering)]


async def get_desk(process: Process, account: CurrentAccount, correlation_id: CorrelationId) -> Desk:
    publisher = process.publisher

    def ring(queue: QueueName, task_id: uuid.UUID) -> None:
        if publisher is not None:
            publisher.ring(queue, task_id, due_at=time.monotonic())

    is_on = publisher is not None and publisher.is_connected
    return Desk(process.pool, process.finished, ring if is_on else None, str(account.id), correlation_id, process.settings.rank_seconds)


AtDesk = Annotated[Desk, Depends(get_desk)]
