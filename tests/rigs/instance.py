"""An app and a worker as processes, and an administrator who is signed in."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.rigs.ports import free_port

PASSWORD = "a long enough password"
START_SECONDS = 60.0


@contextmanager
def at_work(database_url: str, folder: Path, **settings: str) -> Iterator[httpx2.Client]:
    """A client of `/api/v1`; the processes log to `app.log` and `ml_worker.log` in the folder, and end with the block."""
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "ARTIFACTS_URL": str(folder / "artifacts"),
        "JWT_SECRET": secrets.token_hex(32),
        "API_PORT": str(port),
        "ADMIN_EMAIL": "admin@example.com",
        "ADMIN_PASSWORD": PASSWORD,
        **settings,
    }
    processes = []
    try:
        for name in ("app", "ml_worker"):
            with (folder / f"{name}.log").open("wb") as log:
                processes.append(subprocess.Popen([sys.executable, "-m", f"{name}.main"], env=environment, stderr=log))
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=60) as client:
            _sign_in(client)
            yield client
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _sign_in(client: httpx2.Client) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            answer = client.post("/auth/token", data={"username": "admin@example.com", "password": PASSWORD})
        except httpx2.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            return
