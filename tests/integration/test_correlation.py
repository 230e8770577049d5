"""One correlation id on the whole way of a request: HTTP, the log of the app, the row, the log of the worker."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.rigs.instance import at_work


@pytest.fixture
def client(database_url: str, tmp_path: Path) -> Iterator[httpx2.Client]:
    with at_work(database_url, tmp_path, LOG_FORMAT="json") as client:
        yield client


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_one_id_leads_from_the_request_to_the_workers_line(client, connection, tmp_path):
    connection.execute("INSERT INTO items (id, title) VALUES ('m1', 'Film')")
    headers = {"X-Correlation-ID": "order-7"}
    event = client.post("/interactions", headers=headers, json={"item_id": "m1", "type": "like"})
    assert event.headers["x-correlation-id"] == "order-7"
    task_id = event.headers["x-task-id"]
    task = client.get(f"/tasks/{task_id}", headers=headers, params={"wait": 20}).json()
    assert task["error"]["code"] == "no_model", "nothing was trained"

    (asked,) = [line for line in lines(tmp_path / "app.log") if line["event"] == "request" and line["path"].endswith("/interactions")]
    assert (asked["correlation_id"], asked["task_id"]) == ("order-7", task_id)
    done = [line for line in lines(tmp_path / "ml_worker.log") if line.get("task_id") == task_id]
    assert {line["event"] for line in done} >= {"task failed", "batch done"}
    assert {line["correlation_id"] for line in done} == {"order-7"}
