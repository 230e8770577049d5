"""`/tasks/{id}/result`: what a task yielded, whole or page by page, however large it is."""

import uuid
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import Field, TypeAdapter

from app.api.deps import CurrentAccount, Process, Services, viewer_of
from app.api.problems import documented
from app.api.shapes import Cursor, Limit, Page, opened, page_of
from app.errors import NotAuthenticated
from app.faults import ArtifactsNotReached
from app.services import results, tasks
from app.services.accounts import SignedIn
from app.services.results import Result
from app.task_errors import TaskHasNoResult, TaskNotFound

router = APIRouter(prefix="/tasks/{task_id}/result", tags=["tasks"])

JSON: Final = "application/json"

_KEY: TypeAdapter[tuple[int]] = TypeAdapter(tuple[Annotated[int, Field(ge=0, lt=2**31)]])


@router.get(
    "",
    summary="The whole result of a task",
    response_class=Response,
    responses={
        200: {"content": {JSON: {"schema": {"type": "object"}}}, "description": "The result; `ETag` is its SHA-256."},
        304: {"description": "`If-None-Match` names the result: it has not changed, and never will."},
        **documented(NotAuthenticated, TaskNotFound, TaskHasNoResult, ArtifactsNotReached),
    },
)
async def read_result(
    task_id: uuid.UUID,
    account: CurrentAccount,
    process: Process,
    if_none_match: Annotated[str | None, Header(max_length=1000)] = None,
) -> Response:
    """The same that `GET /tasks/{id}` has in `result` while it is small; a large one is kept apart and streamed from there."""
    result = await _find(task_id, account, process)
    headers = {"ETag": f'"{result.sha256}"', "Cache-Control": "private, no-cache"}
    if if_none_match is not None and (if_none_match == "*" or result.sha256 in if_none_match):
        return Response(status_code=304, headers=headers)
    headers |= {"Content-Length": str(result.size), "Content-Disposition": f'attachment; filename="task-{task_id}.json"'}
    return StreamingResponse(results.stream(process.artifacts, result), media_type=JSON, headers=headers)


@router.get(
    "/items",
    summary="The `items` of a result, page by page",
    responses=documented(NotAuthenticated, TaskNotFound, TaskHasNoResult, ArtifactsNotReached),
)
async def list_items(
    task_id: uuid.UUID, account: CurrentAccount, process: Process, limit: Limit = 50, cursor: Cursor = None
) -> Page[dict[str, Any]]:
    """In the order of the result. Kinds that answer for many, like `recommend_many`, have such a list."""
    result = await _find(task_id, account, process)
    start = (opened(cursor, _KEY) or (0,))[0]
    items = await run_in_threadpool(results.read_items, process.artifacts, result)
    rows = list(enumerate(items[start : start + limit + 1], start + 1))
    shown, next_cursor = page_of(rows, limit=limit, key=lambda row: (row[0],))
    return Page(data=[item for _, item in shown], next_cursor=next_cursor)


async def _find(task_id: uuid.UUID, account: SignedIn, process: Services) -> Result:
    async with process.pool.connection() as connection:
        task = await tasks.get_task(connection, task_id, viewer=viewer_of(account))
    return await run_in_threadpool(results.find_result, process.artifacts, task_id, result=task.result, artifact=task.artifact)
