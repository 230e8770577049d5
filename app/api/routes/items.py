"""`/items` and `/categories`: the catalogue."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, Field, TypeAdapter, field_validator

from app.api.deps import PREFIX, CurrentAccount, Operator, Session, acts_for_anybody
from app.api.patterns import WEB_ADDRESS
from app.api.problems import documented
from app.api.shapes import Answer, Cursor, Document, Instant, Label, Limit, Listing, Moment, Page, Request, Text, opened, page_of
from app.errors import Forbidden, ItemExists, ItemNotFound, NotAuthenticated
from app.services import items
from core.identifiers import EntityId
from core.tables import Item

router = APIRouter(tags=["items"])

_KEY: TypeAdapter[tuple[EntityId]] = TypeAdapter(tuple[EntityId])

Category = Annotated[Text | None, Query(max_length=100, description="Only items of this category.")]


class ItemCreate(Request):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "movie-1",
                "title": "The Lighthouse Keeper's Dog",
                "categories": ["Comedy", "Drama"],
                "released_at": "2024-05-01T00:00:00Z",
                "attributes": {"minutes": 96},
            }
        }
    )

    id: EntityId
    title: Annotated[Text, Field(min_length=1, max_length=500)]
    categories: Annotated[list[Label], Field(max_length=50, default_factory=list)]
    tags: Annotated[list[Label], Field(max_length=200, default_factory=list)]
    released_at: Moment | None = None
    image_url: Annotated[Text, Field(max_length=2000, pattern=WEB_ADDRESS)] | None = None
    description: Annotated[Text, Field(max_length=10_000)] | None = None
    attributes: Annotated[Document, Field(default_factory=dict)]
    is_hidden: bool = Field(default=False, description="Hidden items are neither listed nor recommended.")

    @field_validator("id")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value == "popular":
            raise ValueError("`popular` is the name of a list")
        return value


class ItemOut(Answer):
    id: str
    title: str
    categories: list[str]
    tags: list[str]
    released_at: Instant | None
    image_url: str | None
    description: str | None
    attributes: dict[str, Any]
    is_hidden: bool
    created_at: Instant


class PopularItemOut(ItemOut):
    interaction_count: int


class CategoryOut(Answer):
    name: str
    item_count: int


@router.get("/items", summary="List or search items", responses=documented(NotAuthenticated, Forbidden))
async def list_items(
    *,
    account: CurrentAccount,
    session: Session,
    query: Annotated[Text | None, Query(max_length=200, description="Part of the title, in any case.")] = None,
    category: Category = None,
    include_hidden: Annotated[bool, Query(description="Hidden items too (service and admin).")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ItemOut]:
    if include_hidden and not acts_for_anybody(account):
        raise Forbidden("Hidden items are shown to the roles service and admin only.")
    after = opened(cursor, _KEY)
    rows = await items.list_items(
        session,
        query=query,
        category=category,
        include_hidden=include_hidden,
        after=after[0] if after else None,
        limit=limit + 1,
    )
    shown, next_cursor = page_of(rows, limit=limit, key=lambda item: (item.id,))
    return Page(data=[ItemOut.model_validate(item) for item in shown], next_cursor=next_cursor)


@router.get("/items/popular", summary="What most people know", responses=documented(NotAuthenticated))
async def list_popular(_account: CurrentAccount, session: Session, limit: Limit = 50, category: Category = None) -> Listing[PopularItemOut]:
    """Items with the most interactions first: what a new visitor can rate."""
    rows = await items.list_popular(session, category=category, limit=limit)
    return Listing(data=[_popular(item, count) for item, count in rows])


def _popular(item: Item, interaction_count: int) -> PopularItemOut:
    return PopularItemOut(**ItemOut.model_validate(item).model_dump(), interaction_count=interaction_count)


@router.get("/items/{item_id}", summary="One item", responses=documented(NotAuthenticated, ItemNotFound))
async def read_item(item_id: EntityId, account: CurrentAccount, session: Session) -> ItemOut:
    return ItemOut.model_validate(await items.get_item(session, item_id, include_hidden=acts_for_anybody(account)))


@router.post("/items", status_code=201, summary="Add an item", responses=documented(NotAuthenticated, Forbidden, ItemExists))
async def create_item(body: ItemCreate, _account: Operator, session: Session, response: Response) -> ItemOut:
    item = await items.create_item(session, body.model_dump())
    response.headers["Location"] = f"{PREFIX}/items/{item.id}"
    return ItemOut.model_validate(item)


@router.get("/categories", summary="All categories", responses=documented())
async def list_categories(session: Session) -> Listing[CategoryOut]:
    """Open to everybody, because people choose their favourites before they have an account."""
    rows = await items.list_categories(session)
    return Listing(data=[CategoryOut(name=name, item_count=count) for name, count in rows])
