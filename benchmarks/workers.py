"""Lists a second of a refresh of all users by worker processes, from the task until the last shard is stored: two against one."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection

from benchmarks.drawn_interactions import draw
from benchmarks.frame import Case, Measure
from benchmarks.product import load, publish, wait_for
from benchmarks.servers import fresh_database
from core import tasks
from core.messages import RefreshListsPayload
from tests.rigs.ports import free_port

SHARDS = 16
TIMEOUT_SECONDS = 600.0
_LEFT = "SELECT count(*) FROM tasks WHERE state IN ('queued', 'running')"
_SPAN = "SELECT extract(epoch FROM max(finished_at) - min(created_at)) FROM tasks WHERE correlation_id = %s AND state = 'succeeded'"


@contextmanager
def _workers(count: int, environment: dict[str, str]) -> Iterator[None]:
    ports = [free_port() for _ in range(count)]
    processes = [
        subprocess.Popen([sys.executable, "-m", "ml_worker.main"], env={**environment, "WORKER_PORT": str(port)}) for port in ports
    ]
    try:
        for port in ports:
            wait_for(f"http://127.0.0.1:{port}/readyz")
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)


def _refresh(connection: Connection[Any], environment: dict[str, str], count: int) -> float:
    name = f"refresh-by-{count}-{time.monotonic_ns()}"
    with _workers(count, environment):
        submitted = tasks.submit(RefreshListsPayload(shard_count=SHARDS), owner="bench", correlation_id=name).run(connection)
        assert submitted is not None
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while connection.execute(_LEFT).fetchone() != (0,):
            if time.monotonic() > deadline:
                raise TimeoutError("the refresh did not end")
            time.sleep(0.05)
    (seconds,) = connection.execute(_SPAN, (name,)).fetchone() or (0,)
    (lists,) = connection.execute("SELECT count(*) FROM recommendation_lists").fetchone() or (0,)
    return float(lists) / float(seconds)


@contextmanager
def _prepare(quick: bool) -> Iterator[tuple[Measure, Measure]]:
    interactions = draw(users=2000, items=1000, events=100_000) if quick else draw(users=6040, items=3700, events=600_000)
    with (
        fresh_database() as url,
        tempfile.TemporaryDirectory(prefix="marquee-bench-") as folder,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        load(connection, interactions)
        publish(url, folder, interactions)
        environment = {
            **os.environ,
            "DATABASE_URL": url,
            "ARTIFACTS_URL": folder,
            "WORKER_QUEUES": "interactive,batch",
            "LOG_LEVEL": "error",
            "OPENBLAS_NUM_THREADS": "1",
        }
        yield lambda: _refresh(connection, environment, 2), lambda: _refresh(connection, environment, 1)


CASES = [
    Case("workers.refresh", "lists/s", "a refresh of all lists by two workers ÷ by one; both share the cores with PostgreSQL", _prepare)
]
