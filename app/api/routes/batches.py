"""`/tasks/batch`: asking for much work at once."""

import asyncio
import uuid
from collections import Counter
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field, ValidationError

from app.api.deps import CorrelationId, CurrentAccount, Process, Transaction, quota_of
from app.api.kinds import check_may_ask, field_error, parse_payload
from app.api.patterns import KEY
from app.api.problems import FieldErrorOut, documented, invalid
from app.api.shapes import Answer, Request
from app.errors import NotAuthenticated, Problem
from app.services import batches
from app.services.accounts import SignedIn
from app.task_errors import IdempotencyKeyReused
from core.batches import Order
from core.tasks import Submitted

router = APIRouter(prefix="/tasks/batch", tags=["tasks"])

MAX_ROWS: Final = 10_000
ROWS_AT_A_TIME: Final = 500

Status = Literal["created", "repeated", "coalesced", "conflict", "invalid", "forbidden", "not_found", "too_many", "failed"]
REFUSALS: Final[dict[int, Status]] = {403: "forbidden", 404: "not_found", 409: "conflict", 422: "invalid", 429: "too_many"}


class BatchRow(Request):
    kind: str
    payload: dict[str, Any]
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200, pattern=KEY)] | None = None
    deadline_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = None


class BatchCreate(Request):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "tasks": [
                    {"kind": "recommend", "payload": {"user_id": "42"}},
                    {"kind": "recommend", "payload": {"user_id": "43"}, "idempotency_key": "order-17", "deadline_seconds": 600},
                ]
            }
        }
    )

    tasks: list[Any] = Field(
        min_length=1,
        max_length=MAX_ROWS,
        description="Each with `kind` and `payload` and, if wanted, `idempotency_key` and `deadline_seconds`, as for a single task. "
        "A row that is anything else is answered as `invalid`.",
    )


class RowErrorOut(Answer):
    """Why a row made no task: the members of the problem that the same task alone would have been answered with."""

    type: str = Field(examples=["/problems/user-not-found"])
    title: str
    detail: str
    errors: list[FieldErrorOut] | None = None


class RowOut(Answer):
    index: int = Field(description="The place of the row in the request, from 0.")
    status: Status = Field(
        description="`created` · `repeated`: same idempotency key and row as before · `coalesced`: a queued task promises the same · "
        "`conflict`: the key was used for another row, or a task of the kind is active · `too_many`: no room for more queued tasks."
    )
    task_id: uuid.UUID | None = Field(default=None, description="The task that does it, or that is in the way.")
    error: RowErrorOut | None = None


class BatchOut(Answer):
    data: list[RowOut] = Field(description="One for each row, in order.")
    counts: dict[Status, int] = Field(description="How many rows have each status.")


@router.post("", summary="Ask for much work at once", response_model=BatchOut, responses=documented(NotAuthenticated))
async def create_batch(
    *, body: BatchCreate, account: CurrentAccount, process: Process, connection: Transaction, correlation_id: CorrelationId
) -> Response:
    """Each row is answered as if it had been sent alone, and a bad one never costs the good ones.

    All tasks are stored before the answer, or none. With idempotency keys the whole request may be repeated.
    """
    read = await _read(body.tasks, account)
    orders = [order for order in read if isinstance(order, Order)]
    answers = await batches.submit_batch(
        connection, orders, owner=str(account.id), quota=quota_of(account, process), correlation_id=correlation_id
    )
    rows = [_out(place, row if isinstance(row, Problem) else answers[place]) for place, row in enumerate(read)]
    counts = Counter(row.status for row in rows)
    # Rendered here, because FastAPI would check ten thousand rows once more.
    return Response(
        BatchOut.model_construct(data=rows, counts=dict(counts)).model_dump_json(exclude_none=True), media_type="application/json"
    )


async def _read(rows: list[Any], account: SignedIn) -> list[Order | Problem]:
    read: list[Order | Problem] = []
    for start in range(0, len(rows), ROWS_AT_A_TIME):
        read += [_read_row(place, row, account) for place, row in enumerate(rows[start : start + ROWS_AT_A_TIME], start)]
        await asyncio.sleep(0)  # lets others have the event loop between
    return read


def _read_row(place: int, row: object, account: SignedIn) -> Order | Problem:
    try:
        parsed = BatchRow.model_validate(row)
        payload = parse_payload(parsed.kind, parsed.payload)
        check_may_ask(account, payload)
    except ValidationError as error:
        return invalid([field_error(found) for found in error.errors()])
    except Problem as problem:
        return problem
    return Order(place, payload, idem_key=parsed.idempotency_key, deadline_seconds=parsed.deadline_seconds)


def _out(place: int, answer: Submitted | Problem) -> RowOut:
    if isinstance(answer, Submitted):
        status: Status = "created" if answer.outcome == "created" else "repeated" if answer.outcome == "repeated" else "coalesced"
        return RowOut.model_construct(index=place, status=status, task_id=answer.id)
    refused = "conflict" if isinstance(answer, IdempotencyKeyReused) else REFUSALS.get(answer.status, "failed")
    errors = [FieldErrorOut(field=error.field, message=error.message) for error in answer.errors]
    error = RowErrorOut(type=f"/problems/{answer.slug}", title=answer.title, detail=answer.detail, errors=errors or None)
    return RowOut(index=place, status=refused, task_id=answer.members.get("task_id"), error=error)
