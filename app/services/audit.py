"""The audit trail, as it is read."""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.tables import AuditEntry


async def list_entries(
    session: AsyncSession, *, actor: str | None, action: str | None, subject: str | None, before: int | None, limit: int
) -> Sequence[AuditEntry]:
    """Up to `limit` entries, newest first, from the one before `before` on."""
    statement = select(AuditEntry).order_by(col(AuditEntry.id).desc()).limit(limit)
    for column, wanted in ((AuditEntry.actor, actor), (AuditEntry.action, action), (AuditEntry.subject, subject)):
        if wanted is not None:
            statement = statement.where(col(column) == wanted)
    if before is not None:
        statement = statement.where(col(AuditEntry.id) < before)
    return (await session.exec(statement)).all()
