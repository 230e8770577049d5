"""`/livez` and `/readyz`: for whoever starts, watches and balances processes."""

import asyncio
from typing import Final, Literal

import psycopg
from fastapi import APIRouter, Response
from psycopg_pool import PoolTimeout

from app.api.deps import Process
from app.api.shapes import Answer
from core import tables
from core.statement import Statement

router = APIRouter(tags=["health"])

PATIENCE_SECONDS: Final = 2.0
DISPATCHER_LATE_SECONDS: Final = 15.0

Status = Literal["ok", "degraded", "down"]


class HealthOut(Answer):
    status: Status
    checks: dict[str, str]


@router.get("/livez", summary="Whether the process is alive")
async def read_livez() -> HealthOut:
    return HealthOut(status="ok", checks={})


@router.get(
    "/readyz",
    summary="Whether requests can be served",
    responses={503: {"model": HealthOut, "description": "The database does not answer or has no tables."}},
)
async def read_readyz(process: Process, response: Response) -> HealthOut:
    """`degraded` serves requests, but something is late: tasks without the broker or of workers that died, or long polls."""
    checks = {
        "database": await _check_database(process),
        "dispatcher": _check_dispatcher(process),
        "notifications": "ok" if process.finished.is_listening else "not listening for finished tasks",
    }
    if process.publisher is not None:
        checks["broker"] = "ok" if process.publisher.is_connected else "does not answer; workers poll the database meanwhile"
    is_down = checks["database"] != "ok"
    status: Status = "down" if is_down else "ok" if set(checks.values()) == {"ok"} else "degraded"
    response.status_code = 503 if is_down else 200
    response.headers["Cache-Control"] = "no-store"
    return HealthOut(status=status, checks=checks)


async def _check_database(process: Process) -> str:
    missing = Statement(
        "SELECT name FROM unnest(%(names)s::text[]) AS name WHERE to_regclass(quote_ident(name)) IS NULL",
        {"names": sorted(tables.User.metadata.tables)},
        lambda rows: [row["name"] for row in rows],
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), process.pool.connection() as connection:
            absent = await missing.run_async(connection)
    except (psycopg.Error, PoolTimeout, TimeoutError):
        return "does not answer"
    return f"has no table {', '.join(absent)}; run the migrations" if absent else "ok"


def _check_dispatcher(process: Process) -> str:
    seconds = process.dispatcher.seconds_since_pass
    if seconds is None:
        return "has not made a pass yet"
    return "ok" if seconds <= DISPATCHER_LATE_SECONDS else f"made its last pass {seconds:.0f} s ago"
