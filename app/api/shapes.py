"""What the shapes of all resources are made of: strict bases, safe texts, times, pages and cursors."""

import base64
import json
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.config import JsonDict

from app.errors import RequestInvalid

MAX_DOCUMENT_BYTES: Final = 16 * 1024
MAX_DOCUMENT_DEPTH: Final = 16
MAX_PAGE: Final = 200

T = TypeVar("T")
KeyT = TypeVar("KeyT")


class Request(BaseModel):
    """Base of what clients send: unknown fields and wrong types are refused, nothing is guessed."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Answer(BaseModel):
    """Base of what the API answers, made from rows."""

    model_config = ConfigDict(from_attributes=True)


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain the character NUL")
    return text


_WITHOUT_NUL: Final[JsonDict] = {"pattern": r"^[^\u0000]*$"}

Text = Annotated[str, Field(json_schema_extra=_WITHOUT_NUL), AfterValidator(_storable)]
"""A text that PostgreSQL can store."""

Label = Annotated[str, Field(min_length=1, max_length=100, json_schema_extra=_WITHOUT_NUL), AfterValidator(_storable)]
"""The name of a category or a tag."""


_DATED: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]")


def _from_text(value: object) -> object:
    # A number would be taken for seconds since 1970, even in a text.
    if not isinstance(value, str) or not _DATED.match(value):
        raise ValueError("must be a text in the form 2026-11-21T08:00:00Z")
    return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999") from None


Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_from_text), AfterValidator(_in_utc)]
"""A time in a request: RFC 3339 with an offset."""

Instant = Annotated[datetime, AfterValidator(_in_utc)]
"""A time in an answer, in UTC whatever the server's zone."""


def _storable_document(document: dict[str, Any]) -> dict[str, Any]:
    pending: list[tuple[Any, int]] = [(document, 1)]
    while pending:
        value, depth = pending.pop()
        if depth > MAX_DOCUMENT_DEPTH:
            raise ValueError(f"is nested more than {MAX_DOCUMENT_DEPTH} levels deep")
        if isinstance(value, dict):
            pending.extend((part, depth + 1) for pair in value.items() for part in pair)
        elif isinstance(value, list):
            pending.extend((part, depth + 1) for part in value)
        else:
            _check_leaf(value)
    if len(json.dumps(document)) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"is larger than {MAX_DOCUMENT_BYTES} bytes")
    return document


def _check_leaf(value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("contains a number that is not finite")
    if isinstance(value, str):
        _storable(value)
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("contains half of a surrogate pair") from None


Document = Annotated[dict[str, Any], AfterValidator(_storable_document)]
"""Free attributes: a small JSON object."""


class Page(Answer, Generic[T]):
    """Some rows of many."""

    data: list[T]
    next_cursor: str | None = Field(description="Where the next page begins; null on the last one.")


class Listing(Answer, Generic[T]):
    """All rows there are."""

    data: list[T]


Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="At most so many rows.")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before.")]


def page_of(rows: Sequence[T], *, limit: int, key: Callable[[T], tuple[Any, ...]]) -> tuple[list[T], str | None]:
    """The rows of a page and its cursor, of a query that was allowed one row more than the limit."""
    shown = list(rows[:limit])
    return shown, _sealed(key(shown[-1])) if len(rows) > limit else None


def _sealed(key: tuple[Any, ...]) -> str:
    return base64.urlsafe_b64encode(TypeAdapter(tuple[Any, ...]).dump_json(key)).decode().rstrip("=")


def opened(cursor: str | None, adapter: TypeAdapter[KeyT]) -> KeyT | None:
    """The key a cursor stands for. Raises `RequestInvalid` if it is damaged."""
    if cursor is None:
        return None
    try:
        return adapter.validate_json(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, ValidationError):
        raise RequestInvalid.because("cursor", "is damaged; use `next_cursor` of a page as it is") from None
