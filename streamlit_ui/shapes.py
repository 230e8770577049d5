"""The shapes of the API's answers, as far as the interface reads them, and of what it tells in bulk."""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

InteractionType = Literal["watch", "rating", "like", "dislike", "bookmark", "view"]
Row = TypeVar("Row")


class _Shape(BaseModel):
    # Fields that a newer API adds are left aside.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Page(_Shape, Generic[Row]):
    """Some rows and the cursor of the next ones."""

    data: list[Row]
    next_cursor: str | None = None


class Tokens(_Shape):
    """What a sign-in or a refresh gives; the refresh token works once."""

    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    expires_in: float


class Account(_Shape):
    """Who is signed in."""

    id: str
    email: str
    role: Literal["user", "service", "admin"]
    user_id: str | None
    name: str | None = None


class Item(_Shape):
    """What can be recommended; `interaction_count` is known where the popular ones are asked for."""

    id: str
    title: str
    categories: list[str] = []
    image_url: str | None = None
    released_at: datetime | None = None
    interaction_count: int | None = None


class Category(_Shape):
    """A category of the catalogue."""

    name: str
    item_count: int


class Interaction(_Shape):
    """Something the visitor did with an item."""

    id: int | str
    item_id: str
    item_title: str | None = None
    type: InteractionType
    value: float
    occurred_at: datetime


class ReasonItem(_Shape):
    """An item that speaks for a recommendation."""

    id: str
    title: str


class Reason(_Shape):
    """Why an entry is in the list."""

    type: str
    items: list[ReasonItem] = []
    category: str | None = None


class Entry(_Shape):
    """One place of a list."""

    position: int
    item: Item
    score: float
    source: str
    reason: Reason


class Recommendations(_Shape):
    """The stored list of a user; `list_id` is None as long as none was made."""

    user_id: str
    list_id: str | None
    is_cold: bool
    is_stale: bool
    task_id: str | None = None
    computed_at: datetime | None = None
    algorithm: str | None = None
    entries: list[Entry]


class ShownEntry(_Shape):
    """An entry as it was shown or clicked; `position` is its place among the cards of the page, from 1."""

    list_id: str
    item_id: str
    position: int
    occurred_at: datetime


class Task(_Shape):
    """A unit of work somebody asked for."""

    id: str
    kind: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled", "expired", "dead"]
    progress: float = 0.0
    progress_note: str | None = None
    cancel_requested: bool = False
    error: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    attempt: int = 0
    max_attempts: int = 1
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def is_active(self) -> bool:
        return self.state in {"queued", "running"}

    @property
    def is_requeueable(self) -> bool:
        return self.state in {"failed", "dead"}
