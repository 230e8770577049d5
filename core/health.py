"""`/livez`, `/readyz` and `/metrics` of processes that serve nothing else: a small HTTP server on threads of its own."""

import json
import os
import socketserver
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from types import TracebackType
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

REQUEST_SECONDS: Final = 10.0
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class CannotListen(Exception):
    """The address is taken or belongs to another machine; `str()` is the reason."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a process is: `degraded` works, but something is late; `down` should get no work or be started again."""

    status: Literal["ok", "degraded", "down"]
    checks: Mapping[str, str]
    details: Mapping[str, Any] = field(default_factory=dict)


class HealthServer:
    """Serves while it is entered; the callables are called on other threads."""

    def __init__(self, host: str, port: int, *, readiness: Callable[[], Health], metrics: Callable[[], bytes]) -> None:
        handler = type("Handler", (_Handler,), {"pages": {"/readyz": _readyz(readiness), "/livez": _livez, "/metrics": _metrics(metrics)}})
        try:
            self._server = _Server(host, port, handler)
        except OSError as error:
            # Python adds the address to the reason of a failed bind; names that are not found have no errno of the system.
            raise CannotListen(os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="health", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens, known even if port 0 was asked for."""
        return int(self._server.server_address[1])

    def __enter__(self) -> "HealthServer":
        self._thread.start()
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


Page = tuple[HTTPStatus, str, bytes]


def _livez() -> Page:
    return _page(Health("ok", {}))


def _readyz(readiness: Callable[[], Health]) -> Callable[[], Page]:
    return lambda: _page(readiness())


def _metrics(metrics: Callable[[], bytes]) -> Callable[[], Page]:
    return lambda: (HTTPStatus.OK, METRICS_TYPE, metrics())


def _page(health: Health) -> Page:
    told = {"status": health.status, "checks": dict(health.checks), **health.details}
    status = HTTPStatus.SERVICE_UNAVAILABLE if health.status == "down" else HTTPStatus.OK
    return status, "application/json", json.dumps(told).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = AF_INET6 if ":" in host else AF_INET
        super().__init__((host, port), handler)

    def server_bind(self) -> None:
        # Without the look-up of our own name that HTTPServer makes, which can take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up early is nobody's problem."""


class _Handler(BaseHTTPRequestHandler):
    pages: ClassVar[Mapping[str, Callable[[], Page]]]
    timeout = REQUEST_SECONDS
    server_version, sys_version = "marquee", ""

    def do_GET(self) -> None:
        page = self.pages.get(urlsplit(self.path).path)
        status, content_type, body = page() if page else (HTTPStatus.NOT_FOUND, "text/plain", b"Try /livez, /readyz or /metrics.\n")
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            with suppress(ConnectionError):
                self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 (the name is the base's)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is the base's)
        """Probes come every few seconds: not a line each."""
