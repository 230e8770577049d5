"""`/livez`, `/readyz` and `/metrics`: for whoever starts, watches and balances processes."""

import asyncio
import math
from typing import Final, Literal

import psycopg
from fastapi import APIRouter, Response
from psycopg_pool import PoolTimeout

from app.api.deps import Process
from app.api.shapes import Answer
from core import tables
from core.health import METRICS_TYPE
from core.statement import Statement

router = APIRouter(tags=["health"])

PATIENCE_SECONDS: Final = 2.0

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
        "notifications": "ok" if process.finished.is_listening else "not listening for finished tasks",
    }
    if process.settings.dispatcher:
        checks["dispatcher"] = process.dispatcher.describe()
    if process.publisher is not None:
        checks["broker"] = "ok" if process.publisher.is_connected else "does not answer; workers poll the database meanwhile"
    is_down = checks["database"] != "ok"
    status: Status = "down" if is_down else "ok" if set(checks.values()) == {"ok"} else "degraded"
    response.status_code = 503 if is_down else 200
    response.headers["Cache-Control"] = "no-store"
    return HealthOut(status=status, checks=checks)


@router.get("/metrics", include_in_schema=False)
async def read_metrics(process: Process) -> Response:
    """For Prometheus. It tells of everybody's work, so a proxy that serves the world must not serve this."""
    await process.gauges.refresh()
    metrics = process.metrics
    metrics.pass_age.set(process.dispatcher.pass_age if process.settings.dispatcher else math.nan)
    metrics.observe_broker(process.publisher.is_connected if process.publisher else None)
    free = process.artifacts.free_bytes
    metrics.artifacts_free.set(math.nan if free is None else free)
    metrics.waiting_clients.labels("long_poll").set(process.finished.waiting_count)
    metrics.waiting_clients.labels("events").set(process.changes.follower_count + process.list_changes.follower_count)
    return Response(metrics.render(), media_type=METRICS_TYPE, headers={"Cache-Control": "no-store"})


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
