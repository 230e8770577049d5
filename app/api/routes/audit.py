"""`/audit`: what administrators did."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field, TypeAdapter

from app.api.deps import Administrator, Session
from app.api.problems import documented
from app.api.shapes import Answer, Cursor, Instant, Limit, Page, Text, opened, page_of
from app.errors import Forbidden, NotAuthenticated
from app.services import audit

router = APIRouter(prefix="/audit", tags=["audit"])

_KEY: TypeAdapter[tuple[int]] = TypeAdapter(tuple[Annotated[int, Field(ge=0, lt=2**63)]])


class AuditEntryOut(Answer):
    id: int
    actor: str = Field(description="The account that did it.")
    action: str = Field(examples=["task.requeue"])
    subject: str = Field(description="What it was done to.", examples=["task:2f0e4c55-5f5c-4d0c-9d0d-0c9b8a7f6e5d"])
    details: dict[str, Any]
    correlation_id: str | None = Field(description="The request that did it.")
    created_at: Instant


@router.get("", summary="List what administrators did, newest first", responses=documented(NotAuthenticated, Forbidden))
async def list_entries(
    *,
    _account: Administrator,
    session: Session,
    actor: Annotated[Text | None, Query(max_length=100)] = None,
    action: Annotated[Text | None, Query(max_length=100)] = None,
    subject: Annotated[Text | None, Query(max_length=200)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AuditEntryOut]:
    before = opened(cursor, _KEY)
    rows = await audit.list_entries(
        session, actor=actor, action=action, subject=subject, before=before[0] if before else None, limit=limit + 1
    )
    shown, next_cursor = page_of(rows, limit=limit, key=lambda entry: (entry.id,))
    return Page(data=[AuditEntryOut.model_validate(entry) for entry in shown], next_cursor=next_cursor)
