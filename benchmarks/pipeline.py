"""The pipeline through a real broker, against its physical limits, one by one, idle and loaded, and against Celery."""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pika
from pika.adapters.blocking_connection import BlockingChannel

from benchmarks import celery_peer
from benchmarks.frame import Case, MakeMeasures, Measure
from benchmarks.rig import Rig, rigged
from core import claims
from core.claims import Outcome
from core.messages import RecommendPayload, RefreshShardPayload
from core.topology import broker_queue

INTERACTIVE = RecommendPayload(user_id="u")
BACKGROUND = RefreshShardPayload(shard=0, shard_count=1)
BATCH = 32
PREFETCH = 64


@contextmanager
def _against_the_limit(quick: bool) -> Iterator[tuple[Measure, Measure]]:
    count = 2_000 if quick else 6_000
    with rigged() as rig:

        def pipeline() -> float:
            with rig.workers(1):
                return rig.drain(rig.submit_all(INTERACTIVE, count))

        def limit() -> float:
            rates = (rig.publish("interactive", count), _consume(rig, count), _claim_and_complete(rig, count))
            return 1 / sum(1 / rate for rate in rates)

        yield pipeline, limit


def _consume(rig: Rig, count: int) -> float:
    """Rings a second that a consumer receives and acknowledges, doing nothing else."""
    received = 0

    def on_ring(channel: BlockingChannel, delivery: pika.spec.Basic.Deliver, _: pika.BasicProperties, _body: bytes) -> None:
        nonlocal received
        received += 1
        channel.basic_ack(delivery.delivery_tag)

    with pika.BlockingConnection(pika.URLParameters(rig.broker.url)) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.basic_consume(broker_queue("interactive").name, on_ring)
        started = time.perf_counter()
        while received < count:
            connection.process_data_events(time_limit=1)
        return count / (time.perf_counter() - started)


def _claim_and_complete(rig: Rig, count: int) -> float:
    """Tasks a second through the database alone: claimed and completed in batches on one connection."""
    rig.submit_all(INTERACTIVE, count)
    started, left = time.perf_counter(), count
    while left:
        claim = claims.claim_next("interactive", lease_owner="bench", lease_seconds=30, limit=BATCH).run(rig.client)
        claims.complete([Outcome(task, {}) for task in claim.tasks]).run(rig.client)
        left -= len(claim.tasks)
    return count / (time.perf_counter() - started)


@contextmanager
def _batching(quick: bool) -> Iterator[tuple[Measure, Measure]]:
    count = 1_000 if quick else 4_000
    with rigged() as rig:

        def drain(max_batch: int) -> float:
            with rig.workers(1, max_batch=max_batch):
                return rig.drain(rig.submit_all(INTERACTIVE, count))

        yield lambda: drain(BATCH), lambda: drain(1)


def _against_celery(submit: Callable[[Rig, int], set[str]]) -> MakeMeasures:
    @contextmanager
    def measures(quick: bool) -> Iterator[tuple[Measure, Measure]]:
        count = 1_000 if quick else 4_000
        with rigged() as rig, celery_peer.installed() as peer:

            def ours() -> float:
                with rig.workers(1):
                    started = time.perf_counter()
                    rig.dispatch(is_on=True)
                    rig.wait_for(submit(rig, count))
                    rig.dispatch(is_on=False)
                    return count / (time.perf_counter() - started)

            yield ours, lambda: peer.run(count, broker_url=rig.broker.url, database_url=rig.database_url)

    return measures


def _p95(rig: Rig, count: int, *, pause: float = 0.05) -> float:
    """The 95th percentile over tasks asked for at random moments: right behind each other they would find the worker awake."""
    draw = random.Random(1)
    milliseconds = []
    for _ in range(count):
        time.sleep(draw.uniform(0, 2 * pause))
        milliseconds.append(rig.follow_one(INTERACTIVE))
    return statistics.quantiles(milliseconds, n=20)[-1]


@contextmanager
def _idle(quick: bool) -> Iterator[tuple[Measure, Measure]]:
    count = 40 if quick else 200
    with rigged() as rig, rig.workers(1):
        rig.client.execute("CREATE TABLE IF NOT EXISTS written (number integer)")

        def three_commits() -> float:
            started = time.perf_counter()
            for number in range(3):
                rig.client.execute("INSERT INTO written VALUES (%s)", (number,))
            return (time.perf_counter() - started) * 1000

        def commits() -> float:
            draw = random.Random(1)
            milliseconds = []
            for _ in range(count):
                time.sleep(draw.uniform(0, 0.1))
                milliseconds.append(three_commits())
            return statistics.quantiles(milliseconds, n=20)[-1]

        yield lambda: _p95(rig, count), commits


@contextmanager
def _backlog(quick: bool) -> Iterator[tuple[Measure, Measure]]:
    count, backlog = (40, 1_000) if quick else (100, 10_000)
    with rigged() as rig, rig.workers(1, seconds=0.002):

        def behind_backlog() -> float:
            rig.submit_all(BACKGROUND, backlog)
            rig.dispatch(is_on=True)
            p95 = _p95(rig, count)
            rig.dispatch(is_on=False)
            rig.client.execute("UPDATE tasks SET state = 'cancelled', finished_at = clock_timestamp() WHERE state = 'queued'")
            return p95

        yield behind_backlog, lambda: _p95(rig, count)


@contextmanager
def _scaling(quick: bool) -> Iterator[tuple[Measure, Measure]]:
    count = 100 if quick else 400
    with rigged() as rig:

        def drain(workers: int) -> float:
            with rig.workers(workers, max_batch=1, seconds=0.05):
                return rig.drain(rig.submit_all(INTERACTIVE, count))

        yield lambda: drain(4), lambda: drain(1)


@contextmanager
def _without_broker(quick: bool) -> Iterator[tuple[Measure, Measure]]:
    count = 20 if quick else 40
    with rigged() as rig, rig.workers(1):

        def broken() -> float:
            rig.broker.kill()
            time.sleep(1.0)
            try:
                return _p95(rig, count, pause=0.7)  # about as long as the worker waits between two looks
            finally:
                rig.broker.start()
                while not rig.publisher.is_connected:
                    time.sleep(0.05)
                time.sleep(12.0)  # the worker tries again every ten seconds at the latest

        yield broken, lambda: _p95(rig, count)


CASES = [
    Case(
        "pipeline.limit", "tasks/s", "whole pipeline in batches ÷ harmonic limit of publish, consume and database alone", _against_the_limit
    ),
    Case("pipeline.batching", "tasks/s", "batches of 32 ÷ one by one, through the broker", _batching),
    Case(
        "pipeline.celery_batch",
        "tasks/s",
        "4,000 tasks submitted in one call and finished ÷ the same on Celery, which has no such call (quorum queue, confirmed, "
        "acknowledged late, outcome in PostgreSQL)",
        _against_celery(lambda rig, count: rig.submit_all(INTERACTIVE, count)),
    ),
    Case(
        "pipeline.celery_single",
        "tasks/s",
        "the same, submitted one by one by one client",
        _against_celery(lambda rig, count: rig.submit_each(INTERACTIVE, count)),
    ),
    Case(
        "pipeline.idle", "ms, p95", "a task that does nothing, created until succeeded, ÷ three commits, which is what it must write", _idle
    ),
    Case("pipeline.backlog", "ms, p95", "an interactive task behind a backlog of 10,000 background tasks ÷ on an idle system", _backlog),
    Case("pipeline.scaling", "tasks/s", "four workers ÷ one, on tasks that wait 50 ms", _scaling),
    Case("pipeline.no_broker", "ms, p95", "a task while the broker is down ÷ while it is up", _without_broker),
]
