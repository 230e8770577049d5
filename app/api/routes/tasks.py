"""`/tasks`: asking for work and following it."""

import json
import uuid
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Response
from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError

from app.api.deps import PREFIX, Bell, Connection, CorrelationId, CurrentAccount, Process, Transaction, acts_for_anybody, check_may_act_for
from app.api.problems import documented, invalid
from app.api.shapes import Answer, Cursor, Instant, Limit, Page, Request, Text, opened, page_of
from app.errors import (
    FieldError,
    Forbidden,
    IdempotencyKeyReused,
    NotAuthenticated,
    RequestInvalid,
    TaskAlreadyActive,
    TaskEnded,
    TaskNotFound,
    UserNotFound,
)
from app.services import tasks
from app.services.accounts import Role, SignedIn
from app.services.tasks import Viewer
from core.messages import Payload, RecommendPayload, RefreshListsPayload, TrainPayload
from core.tasks import TERMINAL_STATES, State

router = APIRouter(prefix="/tasks", tags=["tasks"])

ASKED_BY: Final[dict[type[Payload], frozenset[Role]]] = {
    RecommendPayload: frozenset({"user", "service", "admin"}),
    RefreshListsPayload: frozenset({"admin"}),
    TrainPayload: frozenset({"admin"}),
}
"""Who may ask for which kind; kinds that are not here are submitted by other tasks only."""

KINDS: Final = {payload.kind: payload for payload in ASKED_BY}

_KEY: TypeAdapter[tuple[AwareDatetime, uuid.UUID]] = TypeAdapter(tuple[AwareDatetime, uuid.UUID])


def _by_kind(schema: dict[str, Any]) -> None:
    """Document each kind with its payload; the general shape stays what is checked first."""
    base = schema.pop("properties")
    schema["oneOf"] = [
        {
            "title": kind,
            "type": "object",
            "properties": {**base, "kind": {"const": kind}, "payload": payload.model_json_schema()},
            "required": schema["required"],
            "additionalProperties": False,
        }
        for kind, payload in KINDS.items()
    ]
    schema["examples"] = [
        {"kind": "recommend", "payload": {"user_id": "42"}},
        {"kind": "train", "payload": {"algorithms": ["als", "popular"]}, "deadline_seconds": 3600},
    ]
    for name in ("required", "additionalProperties", "type"):
        schema.pop(name)


class TaskCreate(Request):
    model_config = ConfigDict(json_schema_extra=_by_kind)

    kind: str
    payload: dict[str, Any]
    deadline_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = Field(
        default=None, description="The task expires unless a worker starts it within this time."
    )


class TaskOut(Answer):
    id: uuid.UUID
    kind: str
    state: State
    payload: dict[str, Any]
    owner: str = Field(description="The account that asked, or the name of the process that did.")
    parent_id: uuid.UUID | None
    priority: int
    attempt: int
    max_attempts: int
    progress: float = Field(description="The share done, 0 to 1.")
    progress_note: str | None
    cancel_requested: bool
    error: dict[str, Any] | None
    result: dict[str, Any] | None
    created_at: Instant
    started_at: Instant | None
    finished_at: Instant | None
    deadline_at: Instant | None


Wait = Annotated[float, Query(ge=0, le=30, description="Seconds to wait for the end of the task.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Makes the request safe to repeat: the same key and body name the same task.",
    ),
]


@router.post(
    "",
    status_code=202,
    summary="Ask for work",
    responses=documented(NotAuthenticated, Forbidden, UserNotFound, TaskAlreadyActive, IdempotencyKeyReused),
)
async def create_task(
    *,
    body: TaskCreate,
    account: CurrentAccount,
    connection: Transaction,
    correlation_id: CorrelationId,
    bell: Bell,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> TaskOut:
    """Answers at once; follow the task at `Location`, best with `?wait=20`."""
    payload = _payload(body)
    _check_may_ask(account, payload)
    task = await tasks.submit_task(
        connection,
        payload,
        owner=str(account.id),
        idem_key=idempotency_key,
        deadline_seconds=body.deadline_seconds,
        correlation_id=correlation_id,
        is_rung=bell.is_on,
    )
    bell.ring(payload.queue, task.id)
    response.headers["Location"] = f"{PREFIX}/tasks/{task.id}"
    return TaskOut.model_validate(task)


def _payload(body: TaskCreate) -> Payload:
    known = KINDS.get(body.kind)
    if known is None:
        raise RequestInvalid.because("kind", f"must be one of {', '.join(sorted(KINDS))}")
    try:
        # From JSON, where strict means that a text is no number and a list may still become a tuple.
        return known.model_validate_json(json.dumps(body.payload), strict=True)
    except ValidationError as error:
        raise invalid([_payload_error(found) for found in error.errors()]) from None


def _payload_error(found: Any) -> FieldError:
    message = "is not a known field" if found["type"] == "extra_forbidden" else found["msg"]
    return FieldError(".".join(("payload", *(str(part) for part in found["loc"]))), message)


def _check_may_ask(account: SignedIn, payload: Payload) -> None:
    if account.role not in ASKED_BY[type(payload)]:
        raise Forbidden(f"Tasks of kind {payload.kind} are not for the role {account.role}.")
    if isinstance(payload, RecommendPayload):
        check_may_act_for(account, payload.user_id)


def _viewer(account: SignedIn) -> Viewer | None:
    return None if acts_for_anybody(account) else Viewer(owner=str(account.id), user_id=account.user_id)


@router.get("/{task_id}", summary="One task; waits for its end if asked to", responses=documented(NotAuthenticated, TaskNotFound))
async def read_task(task_id: uuid.UUID, account: CurrentAccount, process: Process, wait: Wait = 0) -> TaskOut:
    viewer = _viewer(account)
    async with process.pool.connection() as connection:
        task = await tasks.get_task(connection, task_id, viewer=viewer)
    if wait > 0 and task.state not in TERMINAL_STATES:
        await process.finished.wait(task_id, seconds=wait)  # no connection is held meanwhile
        async with process.pool.connection() as connection:
            task = await tasks.get_task(connection, task_id, viewer=viewer)
    return TaskOut.model_validate(task)


@router.get("", summary="List tasks, newest first", responses=documented(NotAuthenticated, Forbidden))
async def list_tasks(
    *,
    account: CurrentAccount,
    connection: Connection,
    state: Annotated[State | None, Query()] = None,
    kind: Annotated[Text | None, Query(max_length=64)] = None,
    owner: Annotated[Text | None, Query(max_length=100, description="By default the account itself; for service and admin, all.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[TaskOut]:
    if not acts_for_anybody(account):
        if owner not in {None, str(account.id)}:
            raise Forbidden("This account sees its own tasks only.")
        owner = str(account.id)
    rows = await tasks.list_tasks(connection, owner=owner, state=state, kind=kind, before=opened(cursor, _KEY), limit=limit + 1)
    shown, next_cursor = page_of(rows, limit=limit, key=lambda task: (task.created_at, task.id))
    return Page(data=[TaskOut.model_validate(task) for task in shown], next_cursor=next_cursor)


@router.post("/{task_id}/cancel", status_code=202, summary="Cancel a task", responses=documented(NotAuthenticated, TaskNotFound, TaskEnded))
async def cancel_task(task_id: uuid.UUID, account: CurrentAccount, connection: Transaction) -> TaskOut:
    """A queued task ends at once; a running one is asked to stop."""
    return TaskOut.model_validate(await tasks.cancel_task(connection, task_id, viewer=_viewer(account)))
