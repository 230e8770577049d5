"""What the answers of all lists are made of: entries with reasons, and the parameters that narrow a list."""

import hashlib
import time
import uuid
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Header, Response
from pydantic import BaseModel, Field
from pydantic_core import to_json

from app.api.deps import CorrelationId, CurrentAccount, Process, Services
from app.api.queries import QueryOf
from app.api.shapes import Answer, Instant
from app.desk import Desk, MadeList
from app.services.accounts import SignedIn
from core.entries import ReasonType, Source
from core.identifiers import EntityId
from core.list_ids import Surface
from core.narrowing import MAX_COUNT, MAX_OFFSET, Name, Narrowing, Share, Year
from core.shown import StoredEntry
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
    item_id, title, categories, image_url, released_at, score, source, reason, reason_items, category = entry
    return {
        "position": position,
        "item": {
            "id": item_id,
            "title": title,
            "categories": categories,
            "image_url": image_url,
            "released_at": instant(released_at),
        },
        "score": score,
        "source": source,
        "reason": {"type": reason, "items": reason_items, "category": category},
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
    content = to_json(document)
    tag = f'W/"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if if_none_match is not None and (if_none_match.strip() == "*" or tag in (sent.strip() for sent in if_none_match.split(","))):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


NOTHING_ASKED: Final = Narrowing()


# One model, not a parameter each: lists are read too often for twenty validations.
class AskedOfList(BaseModel):
    """The query parameters that narrow a list."""

    count: int = Field(default=20, ge=1, le=MAX_COUNT, description="At most so many entries.")
    offset: int = Field(default=0, ge=0, le=MAX_OFFSET, description="So many entries from the start are left out.")
    category: list[Name] = Field(default=[], max_length=20, description="Only items of these categories.")
    match: Literal["any", "all"] = Field(default="any", description="Whether an item needs any or all of the categories.")
    tags: list[Name] = Field(default=[], max_length=20, description="Only items with any of these tags.")
    year_from: Year | None = Field(default=None, description="Released in this year or later.")
    year_to: Year | None = Field(default=None, description="Released in this year or earlier.")
    exclude: list[EntityId] = Field(default=[], max_length=500, description="None of these items.")

    def narrowing(self) -> Narrowing:
        """What is asked for, as the services know it."""
        if not self.model_fields_set:
            return NOTHING_ASKED
        return Narrowing.model_construct(**self._wanted())

    def _wanted(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "offset": self.offset,
            "categories": tuple(self.category),
            "match": self.match,
            "tags": tuple(self.tags),
            "year_from": self.year_from,
            "year_to": self.year_to,
            "exclude": tuple(self.exclude),
        }


LIST_QUERY: Final = QueryOf(AskedOfList)
Narrowed = Annotated[AskedOfList, Depends(LIST_QUERY)]


class AskedOfOrder(AskedOfList):
    """The query parameters that say how a list is put in order, too."""

    include_seen: bool = Field(default=False, description="Items the user has met too.")
    diversity: Share | None = Field(default=None, description="0: by score alone; 1: as unlike each other as can be.")
    new_share: Share | None = Field(default=None, description="Share of the places that new releases get.")
    max_per_category: int | None = Field(default=None, ge=1, le=MAX_COUNT, description="At most so many of each category.")

    def _wanted(self) -> dict[str, Any]:
        return {
            **super()._wanted(),
            "include_seen": self.include_seen,
            "diversity": self.diversity,
            "new_share": self.new_share,
            "max_per_category": self.max_per_category,
        }


def desk_of(process: Services, account: SignedIn, correlation_id: str) -> Desk:
    """The desk, asking in the name of the account."""
    publisher = process.publisher

    def ring(queue: QueueName, task_id: uuid.UUID) -> None:
        if publisher is not None:
            publisher.ring(queue, task_id, due_at=time.monotonic())

    is_on = publisher is not None and publisher.is_connected
    return Desk(process.pool, process.finished, ring if is_on else None, str(account.id), correlation_id, process.settings.rank_seconds)


async def get_desk(process: Process, account: CurrentAccount, correlation_id: CorrelationId) -> Desk:
    return desk_of(process, account, correlation_id)


AtDesk = Annotated[Desk, Depends(get_desk)]
