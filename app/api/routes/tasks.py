"""`/tasks`: asking for work and following it."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated, Any, Final, Literal

import psycopg
from fastapi import APIRouter, Header, Query, Response
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from psycopg_pool import PoolTimeout
from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter

from app.api.deps import (
    PREFIX,
    Bell,
    By,
    Connection,
    CorrelationId,
    CurrentAccount,
    Process,
    Services,
    Transaction,
    acts_for_anybody,
    quota_of,
    viewer_of,
)
from app.api.events import LastEventId, last_seen, stream
from app.api.kinds import KINDS, AnyKind, check_may_ask, parse_payload
from app.api.patterns import KEY
from app.api.problems import documented
from app.api.shapes import Answer, Cursor, Instant, Limit, Moment, Page, Request, Text, opened, page_of
from app.errors import Forbidden, NotAuthenticated, UserNotFound
from app.services import tasks
from app.services.tasks import Filter, TaskRow
from app.task_errors import IdempotencyKeyReused, TaskAlreadyActive, TaskEnded, TaskNotFound, TaskNotRequeueable, TooManyQueuedTasks
from core.tasks import TERMINAL_STATES, State

router = APIRouter(prefix="/tasks", tags=["tasks"])

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
    requeue_count: int = Field(description="How often an administrator gave it new attempts.")
    revision: int = Field(description="Goes up with every change; the id of events.")
    progress: float = Field(description="The share done, 0 to 1.")
    progress_note: str | None
    cancel_requested: bool
    error: dict[str, Any] | None
    result: dict[str, Any] | None = Field(description="Null until the task succeeds; `/tasks/{id}/result` has it too.")
    result_bytes: int | None = Field(description="The size of a result too large for here, of which `result` has the plain members.")
    created_at: Instant
    started_at: Instant | None
    finished_at: Instant | None
    deadline_at: Instant | None


class ChildrenOut(Answer):
    total: int = Field(description="How many tasks it submitted; 0 until it has ended.")
    ended: int
    progress: float = Field(description="The share done of all of them together, 0 to 1.")
    states: dict[State, int]


class ProgressOut(Answer):
    """The data of the event `progress`."""

    id: uuid.UUID
    revision: int
    state: State
    attempt: int
    progress: float
    progress_note: str | None
    cancel_requested: bool


EVENTS_EXAMPLE: Final = """event: progress
data: {"id":"2f0e4c55-5f5c-4d0c-9d0d-0c9b8a7f6e5d","revision":3,"state":"running","attempt":1,"progress":0.4,"progress_note":"fitting als"}
id: 3

: ping

event: finished
data: {"id":"2f0e4c55-5f5c-4d0c-9d0d-0c9b8a7f6e5d","revision":4,"state":"succeeded","result":{"models":[]}}
id: 4

"""

Wait = Annotated[float, Query(ge=0, le=30, description="Seconds to wait for the end of the task.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=KEY,
        description="Makes the request safe to repeat: the same key and body name the same task.",
    ),
]


@router.post(
    "",
    status_code=202,
    summary="Ask for work",
    responses=documented(NotAuthenticated, Forbidden, UserNotFound, TaskAlreadyActive, IdempotencyKeyReused, TooManyQueuedTasks),
)
async def create_task(
    *,
    body: TaskCreate,
    account: CurrentAccount,
    process: Process,
    connection: Transaction,
    correlation_id: CorrelationId,
    bell: Bell,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> TaskOut:
    """Answers at once; follow the task at `Location`, best with `?wait=20`."""
    payload = parse_payload(body.kind, body.payload)
    check_may_ask(account, payload)
    task = await tasks.submit_task(
        connection,
        payload,
        owner=str(account.id),
        idem_key=idempotency_key,
        deadline_seconds=body.deadline_seconds,
        correlation_id=correlation_id,
        is_rung=bell.is_on,
        quota=quota_of(account, process),
    )
    bell.ring(payload.queue, task.id)
    response.headers["Location"] = f"{PREFIX}/tasks/{task.id}"
    return TaskOut.model_validate(task)


@router.get("/{task_id}", summary="One task; waits for its end if asked to", responses=documented(NotAuthenticated, TaskNotFound))
async def read_task(task_id: uuid.UUID, account: CurrentAccount, process: Process, wait: Wait = 0) -> TaskOut:
    viewer = viewer_of(account)
    async with process.pool.connection() as connection:
        task = await tasks.get_task(connection, task_id, viewer=viewer)
    if wait > 0 and task.state not in TERMINAL_STATES:
        await process.finished.wait(task_id, seconds=wait)  # no connection is held meanwhile
        async with process.pool.connection() as connection:
            task = await tasks.get_task(connection, task_id, viewer=viewer)
    return TaskOut.model_validate(task)


@router.get(
    "/{task_id}/children", summary="How far the tasks are that a task submitted", responses=documented(NotAuthenticated, TaskNotFound)
)
async def read_children(task_id: uuid.UUID, account: CurrentAccount, connection: Connection) -> ChildrenOut:
    """For `refresh_lists`, the progress over all its shards. `GET /tasks?parent_id=` lists them."""
    await tasks.get_task(connection, task_id, viewer=viewer_of(account))
    return ChildrenOut.model_validate(await tasks.sum_up_children(connection, task_id))


@router.get(
    "/{task_id}/events",
    summary="Follow a task as server-sent events",
    response_class=Response,  # FastAPI takes a generator for its own kind of stream, whose headers and end are not ours to choose
    responses={
        200: {"content": {"text/event-stream": {"example": EVENTS_EXAMPLE}}},
        204: {"description": "The task has ended and `Last-Event-ID` shows that its end was seen: do not connect again."},
        **documented(NotAuthenticated, TaskNotFound),
    },
)
async def follow_task(task_id: uuid.UUID, account: CurrentAccount, process: Process, last_event_id: LastEventId = None) -> Response:
    """`progress` whenever something has changed, first of all how the task is now; `finished` with the whole task; then the stream ends.

    The id of an event is the task's `revision`. Whoever lost the connection sends the last one as `Last-Event-ID`, to any
    copy of the API, and is not told again what was seen. A comment comes at least every 15 seconds.
    """
    async with process.pool.connection() as connection:
        task = await tasks.get_task(connection, task_id, viewer=viewer_of(account))
    seen = last_seen(last_event_id)
    if task.state in TERMINAL_STATES and seen == task.revision:
        return Response(status_code=204)
    return stream(_events(process, task, seen))


async def _events(process: Services, task: TaskRow, seen: int) -> AsyncGenerator[bytes]:
    if task.state in TERMINAL_STATES:
        yield _event("finished", TaskOut.model_validate(task))
        return
    # Sent in any case, so that the answer begins at once; what was seen is not told again.
    yield KEEPALIVE_COMMENT if seen == task.revision else _event("progress", ProgressOut.model_validate(task))
    async with aclosing(process.changes.follow(task.id, after=task.revision)) as changes:
        async for sight in changes:
            if sight is None:
                yield KEEPALIVE_COMMENT
            elif sight.state not in TERMINAL_STATES:
                yield _event("progress", ProgressOut.model_validate(sight))
            elif ended := await _ended(process, task.id):
                yield _event("finished", TaskOut.model_validate(ended))


async def _ended(process: Services, task_id: uuid.UUID) -> TaskRow | None:
    # Where this fails the stream ends without its last event, and the client comes back for it.
    with suppress(psycopg.OperationalError, PoolTimeout, TaskNotFound):
        async with process.pool.connection() as connection:
            task = await tasks.get_task(connection, task_id, viewer=None)
            return task if task.state in TERMINAL_STATES else None
    return None


def _event(name: Literal["progress", "finished"], told: ProgressOut | TaskOut) -> bytes:
    return format_sse_event(event=name, data_str=told.model_dump_json(), id=str(told.revision))


@router.get("", summary="List tasks, newest first", responses=documented(NotAuthenticated, Forbidden))
async def list_tasks(
    *,
    account: CurrentAccount,
    connection: Connection,
    state: Annotated[list[State] | None, Query(description="Any of these.")] = None,
    kind: Annotated[list[AnyKind] | None, Query(description="Any of these.")] = None,
    parent_id: Annotated[uuid.UUID | None, Query(description="Those that this task submitted.")] = None,
    created_after: Annotated[Moment | None, Query(description="Then or later.")] = None,
    created_before: Annotated[Moment | None, Query(description="Earlier than that.")] = None,
    owner: Annotated[Text | None, Query(max_length=100, description="By default the account itself; for service and admin, all.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[TaskOut]:
    if not acts_for_anybody(account):
        if owner not in {None, str(account.id)}:
            raise Forbidden("This account sees its own tasks only.")
        owner = str(account.id)
    wanted = Filter(owner=owner, states=state, kinds=kind, parent_id=parent_id, created_after=created_after, created_before=created_before)
    rows = await tasks.list_tasks(connection, wanted, before=opened(cursor, _KEY), limit=limit + 1)
    shown, next_cursor = page_of(rows, limit=limit, key=lambda task: (task.created_at, task.id))
    return Page(data=[TaskOut.model_validate(task) for task in shown], next_cursor=next_cursor)


@router.post("/{task_id}/cancel", status_code=202, summary="Cancel a task", responses=documented(NotAuthenticated, TaskNotFound, TaskEnded))
async def cancel_task(task_id: uuid.UUID, account: CurrentAccount, connection: Transaction) -> TaskOut:
    """A queued task ends at once; a running one is asked to stop."""
    return TaskOut.model_validate(await tasks.cancel_task(connection, task_id, viewer=viewer_of(account)))


@router.post(
    "/{task_id}/requeue",
    status_code=202,
    summary="Give a failed or dead task new attempts",
    responses=documented(NotAuthenticated, Forbidden, TaskNotFound, TaskNotRequeueable, TaskAlreadyActive),
)
async def requeue_task(task_id: uuid.UUID, by: By, connection: Transaction) -> TaskOut:
    """It starts over, without its deadline; `GET /audit` tells who asked."""
    return TaskOut.model_validate(await tasks.requeue_task(connection, task_id, actor=by))
