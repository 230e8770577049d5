"""The same job for Celery: run by the peer's own interpreter, which has Celery and nothing of ours (see celery_peer).

A task's outcome is a row in PostgreSQL, written on a connection that each worker process keeps. That is faster than Celery's own
result backend for databases, which opens a connection for every result: the peer is to be as good as a team could make it.
"""

import os
import sys
import time

import psycopg
from celery import Celery
from kombu import Queue

app = Celery("bench", broker=os.environ["PEER_BROKER"])
app.conf.update(
    # The guarantees nearest to ours: durable quorum queue, confirmed publishing, acknowledgement after the outcome is stored.
    task_queues=[Queue("celery-bench", queue_arguments={"x-queue-type": "quorum"})],
    task_default_queue="celery-bench",
    task_default_queue_type="quorum",
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_detect_quorum_queues=True,
    worker_prefetch_multiplier=64,
    broker_connection_retry_on_startup=True,
)

_connections: dict[int, psycopg.Connection] = {}


@app.task(name="bench.nothing", bind=True)
def nothing(self: object) -> None:
    """Does nothing; that it succeeded is stored."""
    if (connection := _connections.get(os.getpid())) is None:
        connection = _connections[os.getpid()] = psycopg.connect(os.environ["PEER_DATABASE"], autocommit=True)
    connection.execute(
        "INSERT INTO peer_done (task_id, state, finished_at) VALUES (%s, 'succeeded', clock_timestamp())", (self.request.id,)
    )


def _wait_for(connection: psycopg.Connection, count: int) -> None:
    deadline = time.monotonic() + 600
    while connection.execute("SELECT count(*) FROM peer_done").fetchone()[0] < count:
        if time.monotonic() > deadline:
            raise TimeoutError("the peer did not finish")
        time.sleep(0.02)


def main() -> None:
    count = int(sys.argv[1])
    with psycopg.connect(os.environ["PEER_DATABASE"], autocommit=True) as connection:
        nothing.apply_async()  # once before, so that the worker is up and everybody is connected
        _wait_for(connection, 1)
        started = time.perf_counter()
        for _ in range(count):
            nothing.apply_async()
        _wait_for(connection, count + 1)
        print(count / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
