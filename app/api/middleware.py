"""What surrounds every request: correlation id, body limit, the answer to faults, one line in the log."""

import re
import time
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import render, unexpected
from app.errors import BodyTooLarge
from app.metrics import Metrics
from core.log import get_logger
from core.tracing import TRACEPARENT, Tracing

MAX_BODY_BYTES: Final = 10 * 1024 * 1024
HEADER: Final = "X-Correlation-ID"
TASK_HEADER: Final = "X-Task-ID"
PROBES: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds by those who watch: not worth a line each."""
WELL_FORMED: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")

log = get_logger("app.access")


class Envelope:
    """Pure ASGI, so that it costs little and sees what is really sent."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, tracing: Tracing, largest: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing
        self._largest = largest or {}  # bytes by path, where it is not `MAX_BODY_BYTES`

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(HEADER, "")
        # Who sends a trace (W3C) and no id of its own: the trace is the id.
        traced = TRACEPARENT.fullmatch(headers.get("traceparent", ""))
        scope["correlation_id"] = given if WELL_FORMED.fullmatch(given) else traced[1] if traced else uuid.uuid4().hex
        with structlog.contextvars.bound_contextvars(correlation_id=scope["correlation_id"]):
            await self._observe(scope, receive, send)

    async def _observe(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        status = 0
        submitted: dict[str, str] = {}

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status, headers = message["status"], MutableHeaders(scope=message)
                headers[HEADER] = scope["correlation_id"]
                if task_id := headers.get(TASK_HEADER):
                    submitted["task_id"] = task_id  # a task that was there already was asked for under another correlation id
            await send(message)

        try:
            await self._answer(scope, receive, observed_send)
        except Exception as error:
            response = unexpected(Request(scope), error)
            if status == 0:
                await response(scope, receive, observed_send)
        finally:
            seconds = time.perf_counter() - began
            # The route's own template, without the prefix of the API.
            route = getattr(scope.get("route"), "path", None)
            self._metrics.observe_request(method=scope["method"], route=route, status=status, seconds=seconds)
            if self._tracing.is_on and scope["path"] not in PROBES:
                self._trace(scope, route or "none", status, seconds, submitted)
            client = (scope.get("client") or ("",))[0]  # the one a trusted proxy names
            tell = log.debug if scope["path"] in PROBES else log.info
            tell(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                duration_ms=round(seconds * 1000, 1),
                client=client,
                **submitted,
            )

    def _trace(self, scope: Scope, route: str, status: int, seconds: float, submitted: Mapping[str, str]) -> None:
        self._tracing.record(
            f"HTTP {scope['method']} {route}",
            correlation_id=scope["correlation_id"],
            traceparent=Headers(scope=scope).get("traceparent", ""),
            seconds=seconds,
            attributes={"http.request.method": scope["method"], "http.route": route, "http.response.status_code": status, **submitted},
            failed=status >= HTTPStatus.INTERNAL_SERVER_ERROR,
        )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Said before the body is read. FastAPI's own limit answers in plain text, whatever the handlers say.
        announced, largest = Headers(scope=scope).get("Content-Length", ""), self._largest.get(scope["path"], MAX_BODY_BYTES)
        if announced.isdecimal() and int(announced) > largest:
            problem = BodyTooLarge(f"A request may have {largest} bytes at most; this one announces {announced}.")
            await render(Request(scope), problem)(scope, receive, send)
            return
        await self._app(scope, _limited(receive, largest), send)


def _limited(receive: Receive, largest: int) -> Receive:
    received = 0

    async def limited_receive() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > largest:
            raise HTTPException(413)
        return message

    return limited_receive
