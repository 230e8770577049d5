"""The registry of trained models, as it is shown."""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.tables import ModelVersion


async def list_model_versions(session: AsyncSession) -> Sequence[ModelVersion]:
    """Every model version, newest first."""
    return (await session.exec(select(ModelVersion).order_by(col(ModelVersion.id).desc()))).all()
