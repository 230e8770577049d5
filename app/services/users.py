"""Users: those recommendations are made for."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.errors import UserExists, UserNotFound
from core.tables import User


async def get_user(session: AsyncSession, user_id: str) -> User:
    """One user. Raises `UserNotFound`."""
    user = await session.get(User, user_id)
    if user is None:
        raise UserNotFound(user_id)
    return user


async def list_users(session: AsyncSession, *, after: str | None, limit: int) -> Sequence[User]:
    """Up to `limit` users in the order of their ids, from the one after `after` on."""
    statement = select(User).order_by(col(User.id)).limit(limit)
    if after is not None:
        statement = statement.where(col(User.id) > after)
    return (await session.exec(statement)).all()


async def create_user(session: AsyncSession, values: dict[str, Any]) -> User:
    """Add a user; the values are validated already. Raises `UserExists`."""
    user = User(**values)
    session.add(user)
    try:
        await session.flush()
    except IntegrityError as error:
        raise UserExists(user.id) from error
    await session.refresh(user)
    return user
