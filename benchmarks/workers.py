"""Lists a second of a refresh of all users by worker processes, from the task until the last shard is stored."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import Connection
from threadpoolctl import threadpool_limits

from benchmarks import peers
from benchmarks.drawn_interactions import draw
from benchmarks.frame import Case, Measure
from benchmarks.peers import Other
from benchmarks.product import given_or_drawn, load, publish, wait_for
from benchmarks.refreshing import MOST_USERS, Prepare
from benchmarks.servers import fresh_database
from core import tasks
from core.messages import RefreshListsPayload
from ml_worker.recommenders.als import Als
from ml_worker.recommenders.base import Recommender
from ml_worker.recommenders.ease import Ease
from ml_worker.recommenders.interactions import Interactions
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


def _refresh(connection: Connection[Any], shard_count: int) -> float:
    name = f"refresh-{time.monotonic_ns()}"
    submitted = tasks.submit(RefreshListsPayload(shard_count=shard_count), owner="bench", correlation_id=name).run(connection)
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
def _served(interactions: Interactions, model: Recommender) -> Iterator[tuple[Connection[Any], dict[str, str]]]:
    """A database with a live model, and the environment of its workers."""
    with (
        fresh_database() as url,
        tempfile.TemporaryDirectory(prefix="marquee-bench-") as folder,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        load(connection, interactions)
        publish(url, folder, interactions, model)
        environment = {"DATABASE_URL": url, "ARTIFACTS_URL": folder, "WORKER_QUEUES": "interactive,batch", "LOG_LEVEL": "error"}
        yield connection, {**os.environ, **environment, "OPENBLAS_NUM_THREADS": "1"}


@contextmanager
def _two_and_one(quick: bool) -> Iterator[tuple[Measure, Measure]]:
    interactions = draw(users=2000, items=1000, events=100_000) if quick else draw(users=6040, items=3700, events=600_000)
    with _served(interactions, Ease()) as (connection, environment):

        def by(count: int) -> float:
            with _workers(count, environment):
                return _refresh(connection, SHARDS)

        yield lambda: by(2), lambda: by(1)


def _beside(other: Other) -> Prepare:
    """A refresh with ALS in two shards by two workers that served before, measured against what `other` prepares on the same model."""

    @contextmanager
    def prepare(quick: bool) -> Iterator[tuple[Measure, Measure]]:
        size = {"users": 1000, "items": 1000, "events": 60_000} if quick else {"users": 6040, "items": 3700, "events": 600_000}
        interactions, model = given_or_drawn(**size), Als()
        users = min(MOST_USERS, len(interactions.user_ids))
        with threadpool_limits(1, "blas"), _served(interactions, model) as (connection, environment), _workers(2, environment):
            rank_others = other(interactions, model)

            def theirs() -> float:
                started = time.perf_counter()
                rank_others(users)
                return users / (time.perf_counter() - started)

            yield lambda: _refresh(connection, 2), theirs

    return prepare


_BY_TWO: Final = "a refresh with ALS in two shards by two workers, from the task until the last list is stored"

CASES = [
    Case(
        "workers.refresh", "lists/s", "a refresh of all lists by two workers ÷ by one; both share the cores with PostgreSQL", _two_and_one
    ),
    Case("workers.als_implicit", "lists/s", f"{_BY_TWO} ÷ implicit's recommend for each user", _beside(peers.implicit_live)),
    Case("workers.als_lightfm", "lists/s", f"{_BY_TWO} ÷ LightFM's predict for each user", _beside(peers.lightfm)),
]
