"""`/models`: the registry of trained models."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from app.api.deps import CurrentAccount, Session
from app.api.problems import documented
from app.api.shapes import Answer, Instant, Listing
from app.errors import NotAuthenticated
from app.services import models

router = APIRouter(prefix="/models", tags=["models"])


class ModelOut(Answer):
    id: int
    algorithm: str
    is_current: bool = Field(description="Whether lists are made with it.")
    metrics: dict[str, Any]
    parameters: dict[str, Any]
    data_window: dict[str, Any] = Field(description="What it was trained on.")
    artifact_bytes: int
    training_seconds: float
    created_at: Instant


@router.get("", summary="All model versions, newest first", responses=documented(NotAuthenticated))
async def list_models(_account: CurrentAccount, session: Session) -> Listing[ModelOut]:
    rows = await models.list_model_versions(session)
    return Listing(data=[ModelOut.model_validate(row) for row in rows])
