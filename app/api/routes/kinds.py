"""`/tasks/kinds`: what may be asked for."""

import inspect
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from app.api.deps import CurrentAccount
from app.api.kinds import ASKED_BY
from app.api.problems import documented
from app.api.shapes import Answer, Listing
from app.errors import NotAuthenticated
from app.services.accounts import Role
from core.messages import Payload
from core.topology import QueueName

router = APIRouter(prefix="/tasks/kinds", tags=["tasks"])


class KindOut(Answer):
    kind: str
    description: str
    queue: QueueName = Field(description="Queues have workers of their own, so that long work is in nobody's way.")
    max_attempts: int
    roles: list[Role] = Field(description="Who may ask for it; the role user for its own user only.")
    payload_schema: dict[str, Any] = Field(description="The JSON Schema of `payload`.")


@router.get("", summary="List the kinds of tasks this account may ask for", responses=documented(NotAuthenticated))
async def list_kinds(account: CurrentAccount) -> Listing[KindOut]:
    return Listing(data=[_out(payload, roles) for payload, roles in ASKED_BY.items() if account.role in roles])


def _out(payload: type[Payload], roles: frozenset[Role]) -> KindOut:
    return KindOut(
        kind=payload.kind,
        description=inspect.getdoc(payload) or "",
        queue=payload.queue,
        max_attempts=payload.max_attempts,
        roles=sorted(roles),
        payload_schema=payload.model_json_schema(),
    )
