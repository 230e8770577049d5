"""The whole product on one machine without Docker: embedded PostgreSQL, app, workers and interface under one supervisor."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import httpx2

from cli import ports
from cli.database import upgrade
from cli.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresFailed
from cli.home import Home, Secrets
from cli.processes import ManagedProcess, stop_all
from cli.refusal import Refusal
from cli.settings import LocalSettings

DATABASE = "marquee"
START_TIMEOUT_SECONDS = 60.0
LOOK_SECONDS = 0.2


class Stopped(Exception):
    """Ctrl-C or SIGTERM: not an error."""


class LocalStack:
    """Starts everything, watches it, stops it in order. Use from the main thread."""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self.home = Home(settings.marquee_home)
        self._postgres: EmbeddedPostgres | None = None
        self._processes: list[ManagedProcess] = []
        self._stopping = threading.Event()
        self.api_url = ""
        self.ui_url = ""
        self.database_url = ""

    @contextmanager
    def running(self) -> Iterator["LocalStack"]:
        """The stack as a block: started at its beginning, stopped however it ends."""
        previous = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with self.home.held():
                try:
                    self._start()
                    yield self
                finally:
                    stop_all(self._processes)
                    if self._postgres is not None:
                        self._postgres.stop()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    @property
    def secrets(self) -> Secrets:
        """What the first start generated."""
        return self.home.secrets()

    @property
    def is_embedded(self) -> bool:
        """Whether the database is this stack's own; the address of another one may hold a password and is not shown."""
        return self._postgres is not None

    @property
    def demo_email(self) -> str:
        """The account the first start created."""
        return self._settings.demo_email

    def wait_until_ready(self) -> None:
        """Return when the API and the interface answer; raises `Stopped`, or `Refusal` with the reason."""
        self._wait_for(f"{self.api_url}/readyz", "the API")
        self._wait_for(f"{self.ui_url}/_stcore/health", "the interface")

    def look(self) -> list[str]:
        """Restart what ended and return its names; raises `Stopped` when it is time to go. Call it a few times a second."""
        if self._stopping.is_set():
            raise Stopped
        if self._postgres is not None and not self._postgres.is_running():
            raise Refusal(f"the embedded PostgreSQL server ended; its log is {self._postgres.log_path}")
        return [process.name for process in self._processes if process.keep_alive()]

    def pause(self) -> None:
        """Let a moment pass, shorter if it is time to go."""
        self._stopping.wait(LOOK_SECONDS)

    def _start(self) -> None:
        settings = self._settings
        api_port = ports.choose(settings.api_host, asked=settings.api_port, default=8080, setting="API_PORT")
        ui_port = ports.choose(settings.ui_host, asked=settings.ui_port, default=8501, setting="UI_PORT")
        self.api_url = f"http://{_reachable(settings.api_host)}:{api_port}"
        self.ui_url = f"http://{_reachable(settings.ui_host)}:{ui_port}"
        self.database_url = self._start_database()
        upgrade(self.database_url)
        environment = self._environment(api_port=api_port, ui_port=ui_port)
        modules = {"app": "app.main", "ui": "streamlit_ui.main"}
        modules |= {f"worker-{number}": "ml_worker.main" for number in range(1, settings.worker_replicas + 1)}
        for name, module in modules.items():
            process = ManagedProcess(name, module, environment, self.home.logs / f"{name}.log")
            self._processes.append(process)
            process.start()

    def _start_database(self) -> str:
        if self._settings.database_url is not None:
            return self._settings.database_url.get_secret_value()
        try:
            self._postgres = EmbeddedPostgres(self.home.folder)
            self._postgres.start()
        except EmbeddedPostgresFailed as error:
            raise Refusal(str(error)) from error
        return self._postgres.ensure_database(DATABASE)

    def _environment(self, *, api_port: int, ui_port: int) -> dict[str, str]:
        return {
            **os.environ,
            "DATABASE_URL": self.database_url,
            "ARTIFACTS_URL": str(self.home.artifacts),
            "JWT_SECRET": self.secrets.jwt_secret,
            "API_HOST": self._settings.api_host,
            "API_PORT": str(api_port),
            "API_URL": self.api_url,
            "ADMIN_EMAIL": self._settings.demo_email,
            "ADMIN_PASSWORD": self.secrets.demo_password,
            "WORKER_PORT": "0",  # one port would be too few for several workers
            "DISPATCHER": "on",  # there is no other
            "UI_HOST": self._settings.ui_host,
            "UI_PORT": str(ui_port),
            "UI_SESSION_DIR": str(self.home.folder / "ui-sessions"),
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def _wait_for(self, url: str, what: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            self.look()
            try:
                if httpx2.get(url, timeout=5.0).status_code == httpx2.codes.OK:
                    return
            except httpx2.TransportError:
                pass
            if time.monotonic() > deadline:
                raise Refusal(f"{what} did not answer within {START_TIMEOUT_SECONDS:.0f} s at {url}; its log is in {self.home.logs}")
            self.pause()

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping.set()


def _reachable(host: str) -> str:
    """The address to call a server by that listens on `host`."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 (compared, not bound)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
