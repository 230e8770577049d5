"""What a request wants of a list beyond its user: which items may be in it, and how they are put in order."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.identifiers import EntityId

MAX_COUNT: Final = 100
MAX_OFFSET: Final = 1000

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
"""The name of a category or a tag."""

Year = Annotated[int, Field(ge=1, le=9999)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Narrowing(BaseModel):
    """Which part of which ranking is asked for; without any field the first places of the stored list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(default=20, ge=1, le=MAX_COUNT)
    offset: int = Field(default=0, ge=0, le=MAX_OFFSET)
    categories: tuple[Name, ...] = Field(default=(), max_length=20)
    match: Literal["any", "all"] = "any"
    tags: tuple[Name, ...] = Field(default=(), max_length=20)
    year_from: Year | None = None
    year_to: Year | None = None
    exclude: tuple[EntityId, ...] = Field(default=(), max_length=500)
    include_seen: bool = False
    diversity: Share | None = None
    new_share: Share | None = None
    max_per_category: int | None = Field(default=None, ge=1, le=MAX_COUNT)
    model_version: int | None = Field(default=None, ge=1, lt=2**63)

    @property
    def is_narrow(self) -> bool:
        """Whether not every item may be in the list, so that the stored one may run short."""
        return bool(self.categories or self.tags or self.year_from or self.year_to or self.exclude)

    @property
    def is_reordered(self) -> bool:
        """Whether the order is another than that of the stored list, which only a worker can give."""
        return (
            self.include_seen
            or self.model_version is not None
            or self.max_per_category is not None
            or self.diversity is not None
            or self.new_share is not None
        )

    @property
    def is_contradictory(self) -> bool:
        """Whether no item can be meant."""
        return self.year_from is not None and self.year_to is not None and self.year_from > self.year_to
