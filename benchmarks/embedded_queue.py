"""Created → succeeded on the embedded queue with work that does nothing."""

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from benchmarks.frame import Case, Measure
from benchmarks.servers import fresh_database
from core import claims, tasks
from core.artifacts import ArtifactStore
from core.claims import Outcome
from core.database import make_pool
from core.messages import RecommendPayload, RefreshShardPayload
from core.topology import FINISHED_CHANNEL
from ml_worker.bell import DatabaseBell
from ml_worker.children import Children
from ml_worker.handlers.base import Answer, Context, Handler, Job, Product
from ml_worker.leases import Leases
from ml_worker.ranking import Ranker
from ml_worker.registry import Registry
from ml_worker.settings import WorkerSettings
from ml_worker.slots import Slot

LEASE_SECONDS = 30.0

MakeSlot = Callable[[int], Slot]


def _do_nothing(jobs: Sequence[Job[RecommendPayload]], _context: Context) -> list[Answer]:
    return [Product({}) for _ in jobs]


@contextmanager
def _slots() -> Iterator[tuple[str, DatabaseBell, MakeSlot]]:
    """A database, its bell and a maker of slots that claim up to so many tasks at once."""
    with fresh_database() as url, tempfile.TemporaryDirectory() as folder, make_pool(url, max_size=4) as pool:
        settings = WorkerSettings.model_validate({"database_url": url, "artifacts_url": folder})
        registry = Registry(ArtifactStore(Path(folder)))
        ranker = Ranker(pool, registry, weights=settings.interaction_weights, list_length=settings.list_length)
        context = Context(pool, registry, ranker, settings, progress=lambda _done, _note=None: None)
        leases = Leases(pool, lease_seconds=LEASE_SECONDS)
        bell = DatabaseBell(url, queues=("interactive",))

        def make(max_batch: int) -> Slot:
            handler = Handler(payload=RecommendPayload, run=_do_nothing, max_batch=max_batch)
            return Slot("interactive", "bench", bell, leases, context, {"recommend": handler}, Children(settings), threading.Event())

        yield url, bell, make


@contextmanager
def _working(slot: Slot, bell: DatabaseBell) -> Iterator[None]:
    """The slot and its bell at work on threads of their own."""
    stopping = threading.Event()
    threads = [threading.Thread(target=slot.run, args=(stopping,)), threading.Thread(target=bell.listen, args=(stopping,))]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        bell.ring("interactive")
        for thread in threads:
            thread.join()


@contextmanager
def _latency(quick: bool) -> Iterator[tuple[Measure, Measure]]:
    count = 50 if quick else 200
    with _slots() as (url, bell, make), psycopg.connect(url, autocommit=True) as client, _working(make(1), bell):
        client.execute(f"LISTEN {FINISHED_CHANNEL}")
        yield (
            lambda: statistics.median(_through_the_slot(client) for _ in range(count)),
            lambda: statistics.median(_bare(client) for _ in range(count)),
        )


def _through_the_slot(client: Connection[Any]) -> float:
    """Milliseconds from the submission to the notification that the task has ended."""
    started = time.perf_counter()
    submitted = tasks.submit(RecommendPayload(user_id="u"), owner="bench").run(client)
    assert submitted is not None
    for notification in client.notifies(timeout=10.0):
        if notification.payload == str(submitted.id):
            break
    return (time.perf_counter() - started) * 1000


def _bare(client: Connection[Any]) -> float:
    """Milliseconds of the same transactions one after the other on one connection, with nobody to wait for."""
    started = time.perf_counter()
    tasks.submit(RefreshShardPayload(shard=0, shard_count=1), owner="bench").run(client)  # a queue that no slot serves
    (claimed,) = claims.claim_next("batch", lease_owner="bench", lease_seconds=LEASE_SECONDS, limit=1).run(client).tasks
    with client.transaction():
        claims.complete([Outcome(claimed, {})]).run(client)
    return (time.perf_counter() - started) * 1000


@contextmanager
def _throughput(quick: bool) -> Iterator[tuple[Measure, Measure]]:
    count = 320 if quick else 1600
    with _slots() as (url, _, make), psycopg.connect(url, autocommit=True) as client:
        yield lambda: _drain(client, make(32), count), lambda: _drain(client, make(1), count)


def _drain(client: Connection[Any], slot: Slot, count: int) -> float:
    """Tasks a second from a full queue to an empty one."""
    with client.pipeline(), client.transaction():
        for number in range(count):
            tasks.submit(RecommendPayload(user_id=f"u{number}"), owner="bench").run(client)
    started = time.perf_counter()
    while slot.work_once():
        pass
    return count / (time.perf_counter() - started)


CASES = [
    Case(
        "embedded_queue.latency",
        "ms",
        "created to succeeded through a waiting slot ÷ the same statements with nobody to wait for",
        _latency,
    ),
    Case("embedded_queue.batching", "tasks/s", "claimed and completed 32 at once ÷ one by one", _throughput),
]
