"""What every data set is made of, whatever it was read from: rows of users, items and interactions, and rows that are wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

InteractionRow = tuple[str, str, str, float, float]
"""User id, item id, type, value, and seconds since 1970 (UTC): a plain tuple, because there are millions of them."""

CHUNK_ROWS = 50_000
"""How many interactions are held in memory at a time."""


@dataclass(frozen=True, slots=True)
class UserRow:
    """Somebody recommendations are made for."""

    id: str
    name: str | None = None
    preferred_categories: Sequence[str] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ItemRow:
    """A thing that can be recommended. What is empty or None leaves a stored value as it is."""

    id: str
    title: str
    categories: Sequence[str] = ()
    tags: Sequence[str] = ()
    released_at: datetime | None = None
    image_url: str | None = None
    description: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Dataset(Protocol):
    """Rows to load; the three are asked for once each, in this order, so that a later one may rely on an earlier one."""

    def users(self) -> Iterator[UserRow]:
        """Users with something known about them. Interactions may name users that are not among them."""

    def items(self) -> Iterator[ItemRow]:
        """Every item, each once."""

    def interactions(self) -> Iterator[list[InteractionRow]]:
        """Interactions of the items above, in chunks of about `CHUNK_ROWS`."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out. `column` is None where the row as a whole cannot be read."""

    file: str
    line: int
    column: str | None
    reason: str

    def __str__(self) -> str:
        column = f" column {self.column}:" if self.column else ""
        return f"{self.file}:{self.line}:{column} {self.reason}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is: `done` of `total` in the stage's own unit (bytes of a file, rows), and the rows seen so far."""

    stage: str
    done: int
    total: int | None
    rows: int = 0
