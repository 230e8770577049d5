"""The worker as a process: it works, drains, hands back, and dies without losing anything."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg import Connection

from core import claims, tasks
from core.messages import RecommendPayload, TrainPayload

StartWorker = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start_worker(database_url: str, tmp_path) -> Iterator[StartWorker]:
    """Starts a real worker process, ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(**environment: str) -> subprocess.Popen[str]:
        environment = {
            "DATABASE_URL": database_url,
            "ARTIFACT_DIR": str(tmp_path / "artifacts"),
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
