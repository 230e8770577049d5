"""The catalogue: finding, listing and adding items."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.errors import ItemExists, ItemNotFound
from core.tables import Interaction, Item


async def get_item(session: AsyncSession, item_id: str, *, include_hidden: bool) -> Item:
    """One item. Raises `ItemNotFound`, for a hidden one too unless hidden ones are included."""
    item = await session.get(Item, item_id)
    if item is None or (item.is_hidden and not include_hidden):
        raise ItemNotFound(item_id)
    return item


async def list_items(
    session: AsyncSession, *, query: str | None, category: str | None, include_hidden: bool, after: str | None, limit: int
) -> Sequence[Item]:
    """Up to `limit` items in the order of their ids, from the one after `after` on."""
    statement = select(Item).order_by(col(Item.id)).limit(limit)
    if after is not None:
        statement = statement.where(col(Item.id) > after)
    if query:
        statement = statement.where(col(Item.title).icontains(query, autoescape=True))
    if category is not None:
        statement = statement.where(col(Item.categories).contains([category]))
    if not include_hidden:
        statement = statement.where(~col(Item.is_hidden))
    return (await session.exec(statement)).all()


async def list_popular(session: AsyncSession, *, category: str | None, limit: int) -> Sequence[tuple[Item, int]]:
    """The visible items with the most interactions and how many they have, most first."""
    counted = (
        select(col(Interaction.item_id).label("item_id"), func.count().label("interaction_count"))
        .group_by(col(Interaction.item_id))
        .subquery()
    )
    count = func.coalesce(counted.c.interaction_count, 0)
    statement = (
        select(Item, count)
        .outerjoin(counted, counted.c.item_id == Item.id)
        .where(~col(Item.is_hidden))
        .order_by(count.desc(), col(Item.id))
        .limit(limit)
    )
    if category is not None:
        statement = statement.where(col(Item.categories).contains([category]))
    return [(item, interaction_count) for item, interaction_count in await session.exec(statement)]


async def list_categories(session: AsyncSession) -> Sequence[tuple[str, int]]:
    """Every category of a visible item and how many it has, most first."""
    name = func.unnest(Item.categories).label("name")
    each = select(name).where(~col(Item.is_hidden)).subquery()
    count = func.count()
    statement = select(each.c.name, count).group_by(each.c.name).order_by(count.desc(), each.c.name)
    return [(category, item_count) for category, item_count in await session.exec(statement)]


async def create_item(session: AsyncSession, values: dict[str, Any]) -> Item:
    """Add an item; the values are validated already. Raises `ItemExists`."""
    item = Item(**values)
    session.add(item)
    try:
        await session.flush()
    except IntegrityError as error:
        raise ItemExists(item.id) from error
    await session.refresh(item)
    return item
