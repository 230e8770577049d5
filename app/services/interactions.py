"""What users do: recorded together with the promise of a new list, and read back."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import ForeignKeyViolation
from sqlmodel import and_, col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.errors import ItemNotFound, UserNotFound
from core import feedback, interactions, tasks
from core.feedback import Told
from core.interactions import InteractionType, Recorded
from core.messages import RecommendPayload
from core.tables import Interaction, Item


async def record_interaction(
    connection: AsyncConnection[Any],
    *,
    user_id: str,
    item_id: str,
    type: InteractionType,  # noqa: A002 (the column's name)
    value: float,
    occurred_at: datetime | None,
    owner: str,
    correlation_id: str,
    is_rung: bool,
    list_id: uuid.UUID | None = None,
) -> tuple[Recorded, uuid.UUID | None]:
    """Store an interaction and ask for the user's list to follow it, both or neither; the row and the id of that task.

    Raises `UserNotFound` or `ItemNotFound`.
    """
    statement = interactions.record(user_id=user_id, item_id=item_id, type=type, value=value, occurred_at=occurred_at)
    try:
        recorded = await statement.run_async(connection)
    except ForeignKeyViolation as error:
        if error.diag.constraint_name == "fk_interactions_user_id":
            raise UserNotFound(user_id) from error
        raise ItemNotFound(item_id) from error
    if list_id is not None and interactions.is_favourable(type, value):
        await feedback.record([Told(list_id, item_id, user_id)], "conversion").run_async(connection)
    payload = RecommendPayload(user_id=user_id)
    submitted = await tasks.submit(payload, owner=owner, correlation_id=correlation_id, is_rung=is_rung).run_async(connection)
    return recorded, submitted.id if submitted else None


async def list_interactions(
    session: AsyncSession,
    *,
    user_id: str | None,
    item_id: str | None,
    type: InteractionType | None,  # noqa: A002
    before: tuple[datetime, int] | None,
    limit: int,
) -> Sequence[tuple[Interaction, str]]:
    """Up to `limit` interactions with the titles of their items, newest first, from the one before `before` on."""
    statement = select(Interaction, Item.title).join(Item, col(Item.id) == Interaction.item_id)
    for column, wanted in ((Interaction.user_id, user_id), (Interaction.item_id, item_id), (Interaction.type, type)):
        if wanted is not None:
            statement = statement.where(col(column) == wanted)
    if before is not None:
        occurred_at, interaction_id = before
        statement = statement.where(
            or_(
                col(Interaction.occurred_at) < occurred_at,
                and_(col(Interaction.occurred_at) == occurred_at, col(Interaction.id) < interaction_id),
            )
        )
    newest_first = statement.order_by(col(Interaction.occurred_at).desc(), col(Interaction.id).desc()).limit(limit)
    return [(interaction, title) for interaction, title in await session.exec(newest_first)]
