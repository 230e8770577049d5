"""The worker as a process: it works, drains, hands back, and dies without losing anything."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from psycopg import Connection

from core import claims, tasks
from core.messages import RecommendPayload, TrainPayload
from tests.rigs.ports import free_port
from tests.rigs.s3 import s3_server

StartWorker = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start_worker(database_url: str, tmp_path) -> Iterator[StartWorker]:
    """Starts a real worker process, ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(**environment: str) -> subprocess.Popen[str]:
        environment = {
            "DATABASE_URL": database_url,
            "ARTIFACTS_URL": str(tmp_path / "artifacts"),
            "OPENBLAS_NUM_THREADS": "1",
            **environment,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "ml_worker.main"], env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for_state(connection: Connection[Any], task_id: uuid.UUID, *expected: str, seconds: float = 60.0) -> str:
    deadline = time.monotonic() + seconds
    state = ""
    while time.monotonic() < deadline:
        state = connection.execute("SELECT state FROM tasks WHERE id = %s", (task_id,)).fetchone()[0]
        if state in expected:
            return state
        time.sleep(0.02)
    raise AssertionError(f"the task is {state} after {seconds} s, not {' or '.join(expected)}")


def end(process: subprocess.Popen[str], number: int) -> tuple[int, str]:
    process.send_signal(number)
    log = process.communicate(timeout=30)[1]
    return process.returncode, log


def test_a_worker_trains_and_makes_lists_and_ends_on_sigterm(connection, catalogue, start_worker):
    worker = start_worker()
    trained = tasks.submit(TrainPayload(), owner="alice").run(connection)
    wait_for_state(connection, trained.id, "succeeded")
    asked = tasks.submit(RecommendPayload(user_id="u3"), owner="alice").run(connection)
    wait_for_state(connection, asked.id, "succeeded")
    code, log = end(worker, signal.SIGTERM)
    assert code == 0, log
    assert "Traceback" not in log


def test_a_worker_that_has_grown_too_large_ends_by_itself(connection, start_worker):
    worker = start_worker(WORKER_MEMORY_MB="64", LOG_FORMAT="json")
    log = worker.communicate(timeout=60)[1]
    assert worker.returncode == 0, log
    (told,) = [json.loads(line) for line in log.splitlines() if "WORKER_MEMORY_MB is passed" in line]
    assert told["used_mb"] > told["limit_mb"] == 64


def test_workers_share_their_models_through_a_bucket(connection, catalogue, start_worker):
    with s3_server() as server:
        first = start_worker(**server.environment)
        trained = tasks.submit(TrainPayload(refresh_lists=False), owner="alice").run(connection)
        wait_for_state(connection, trained.id, "succeeded")
        end(first, signal.SIGTERM)
        start_worker(**server.environment)
        asked = tasks.submit(RecommendPayload(user_id="u3"), owner="alice").run(connection)
        wait_for_state(connection, asked.id, "succeeded")


def test_a_task_whose_worker_vanished_is_finished_by_another(connection, catalogue, start_worker):
    task_id = tasks.submit(TrainPayload(refresh_lists=False), owner="alice").run(connection).id
    lost = claims.claim_next("train", lease_owner="vanished", lease_seconds=0.1, limit=1).run(connection).tasks
    assert [task.id for task in lost] == [task_id]
    time.sleep(0.2)
    assert tasks.reap().run(connection).requeued == {task_id: "train"}
    start_worker()
    wait_for_state(connection, task_id, "succeeded")
    assert connection.execute("SELECT attempt, fence FROM tasks WHERE id = %s", (task_id,)).fetchone() == (2, 2)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"DATABASE_URL": "", "WORKER_QUEUES": "interactive,dance"}, "WORKER_QUEUES"),
        ({"LEASE_SECONDS": "0"}, "LEASE_SECONDS: input should be greater than or equal to 1"),
        ({"INTERACTION_WEIGHTS": '{"dance": 1}'}, "no interaction type is named dance"),
        (
            {"ARTIFACTS_URL": "s3://marquee", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
            "ARTIFACTS_URL cannot be used: s3://marquee at http://127.0.0.1:1: ",
        ),
        ({"DATABASE_URL": "mysql://localhost/db"}, "DATABASE_URL must be of the form postgresql"),
    ],
)
def test_wrong_settings_end_the_process_with_a_sentence(start_worker, environment, sentence):
    worker = start_worker(**environment)
    log = worker.communicate(timeout=30)[1]
    assert worker.returncode == 2
    assert sentence in log
    assert "Traceback" not in log


def test_a_worker_waits_for_a_database_that_is_not_there_yet(start_worker):
    worker = start_worker(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert any("database not reachable" in line for line in worker.stderr), "it ended instead"
    code, log = end(worker, signal.SIGTERM)
    assert code == 0, log
    assert "Traceback" not in log


def wait_for_health(url: str, status: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    told = None
    while time.monotonic() < deadline:
        try:
            told = httpx2.get(f"{url}/readyz").json()
        except httpx2.TransportError:
            told = None
        if told is not None and told["status"] == status:
            return told
        time.sleep(0.05)
    raise AssertionError(f"the worker says {told}, not {status}")


def test_a_worker_tells_its_health_and_its_metrics(connection, catalogue, start_worker):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    worker = start_worker(WORKER_PORT=str(port), WORKER_QUEUES="interactive,train")
    trained = tasks.submit(TrainPayload(refresh_lists=False), owner="alice").run(connection)
    wait_for_state(connection, trained.id, "succeeded")
    asked = tasks.submit(RecommendPayload(user_id="u3"), owner="alice").run(connection)
    wait_for_state(connection, asked.id, "succeeded")
    told = wait_for_health(url, "ok")
    assert told["slots"].keys() == {"interactive-0", "train-0"}
    assert told["model_version"] == 1
    assert told["bell"] == {"rung_by": "database", "is_connected": True}
    assert told["leases_renewed_seconds_ago"] < 5
    assert told["resident_bytes"] > 10_000_000 or sys.platform != "linux"

    assert httpx2.get(f"{url}/livez").json()["status"] == "ok"
    assert httpx2.get(f"{url}/nothing").status_code == 404
    metrics = httpx2.get(f"{url}/metrics").text
    for line in (
        'marquee_worker_tasks_total{kind="train",outcome="succeeded"} 1.0',
        'marquee_worker_batch_duration_seconds_count{kind="recommend"} 1.0',
        'marquee_worker_claims_total{found="tasks",queue="interactive"} 1.0',
        'marquee_worker_batch_size_tasks_sum{queue="train"} 1.0',
        "marquee_worker_bell_connected 1.0",
        "marquee_list_freshness_seconds_count 1.0",
        "marquee_worker_model_version 1.0",
    ):
        assert f"{line}\n" in metrics
    assert re.search(r"^marquee_artifacts_free_bytes [1-9]", metrics, re.MULTILINE)
    assert re.search(r"process_resident_memory_bytes [1-9]", metrics) or sys.platform != "linux"
    code, log = end(worker, signal.SIGTERM)
    assert code == 0, log


def test_a_worker_without_a_database_lives_and_is_not_ready(start_worker):
    port = free_port()
    start_worker(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", WORKER_PORT=str(port))
    told = wait_for_health(f"http://127.0.0.1:{port}", "down")
    assert told["checks"]["database"] == "does not answer"
    assert httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 503
    assert httpx2.get(f"http://127.0.0.1:{port}/livez").status_code == 200


def test_a_port_in_use_is_told(start_worker):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        worker = start_worker(WORKER_PORT=str(port))
        log = worker.communicate(timeout=30)[1]
    assert worker.returncode == 2
    assert log == f"worker: cannot listen on 127.0.0.1 port {port}: Address already in use. Set WORKER_HOST or WORKER_PORT.\n"


def test_every_line_about_a_task_carries_the_correlation_id_of_its_request(connection, catalogue, start_worker):
    worker = start_worker(LOG_FORMAT="json")
    asked = tasks.submit(TrainPayload(refresh_lists=False), owner="alice", correlation_id="order-7").run(connection)
    wait_for_state(connection, asked.id, "succeeded")
    code, log = end(worker, signal.SIGTERM)
    assert code == 0, log
    told = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    (done,) = [line for line in told if line["event"] == "batch done"]
    assert (done["correlation_id"], done["task_id"]) == ("order-7", str(asked.id))
