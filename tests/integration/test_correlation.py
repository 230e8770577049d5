"""One correlation id on the whole way of a request: HTTP, the log of the app, the row, the log of the worker."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

PASSWORD = "a long enough password"


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def logs(database_url: str, port: int, tmp_path: Path) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """An app and a worker at work; called with the name of one, what it has logged so far."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "ARTIFACTS_URL": str(tmp_path),
        "JWT_SECRET": secrets.token_hex(32),
        "API_PORT": str(port),
        "ADMIN_EMAIL": "admin@example.com",
        "ADMIN_PASSWORD": PASSWORD,
        "LOG_FORMAT": "json",
    }
    processes = []
    for name in ("app", "ml_worker"):
        with (tmp_path / f"{name}.log").open("wb") as log:
            processes.append(subprocess.Popen([sys.executable, "-m", f"{name}.main"], env=environment, stderr=log))
    yield lambda name: [json.loads(line) for line in (tmp_path / f"{name}.log").read_text().splitlines()]
    for process in processes:
        process.kill()
        process.wait()


def signed_in(client: httpx2.Client) -> dict[str, str]:
    deadline = time.monotonic() + 30
    while True:
        try:
            answer = client.post("/api/v1/auth/token", data={"username": "admin@example.com", "password": PASSWORD})
            return {"Authorization": f"Bearer {answer.json()['access_token']}"}
        except httpx2.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_one_id_leads_from_the_request_to_the_workers_line(logs, port, connection):
    connection.execute("INSERT INTO items (id, title) VALUES ('m1', 'Film')")
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=40) as client:
        headers = {**signed_in(client), "X-Correlation-ID": "order-7"}
        event = client.post("/api/v1/interactions", headers=headers, json={"item_id": "m1", "type": "like"})
        assert event.headers["x-correlation-id"] == "order-7"
        task_id = event.headers["x-task-id"]
        task = client.get(f"/api/v1/tasks/{task_id}", headers=headers, params={"wait": 20}).json()
    assert task["error"]["code"] == "no_model", "nothing was trained"

    (asked,) = [line for line in logs("app") if line["event"] == "request" and line["path"].endswith("/interactions")]
    assert (asked["correlation_id"], asked["task_id"]) == ("order-7", task_id)
    done = [line for line in logs("ml_worker") if line.get("task_id") == task_id]
    assert {line["event"] for line in done} >= {"task failed", "batch done"}
    assert {line["correlation_id"] for line in done} == {"order-7"}
