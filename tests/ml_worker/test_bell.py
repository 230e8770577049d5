"""The database bell rings slots awake, and again after it lost its connection."""

import threading
import time

import psycopg

from core import tasks
from ml_worker.bell import DatabaseBell


def hears(bell: DatabaseBell, queue: str, ring, *, seconds: float = 10.0) -> bool:
    """Whether the bell counts a ring for the queue while `ring` is called again and again."""
    seen = bell.count(queue)
    deadline = time.monotonic() + seconds
    while bell.count(queue) == seen and time.monotonic() < deadline:
        ring()
        bell.wait(queue, since=seen, timeout=0.1)
    return bell.count(queue) != seen


def test_it_rings_for_the_queue_it_is_told_and_survives_a_lost_connection(connection, database_url):
    bell = DatabaseBell(database_url, queues=("interactive", "batch"))
    stopping = threading.Event()
    thread = threading.Thread(target=bell.listen, args=(stopping,))
    thread.start()
    try:
        assert hears(bell, "batch", lambda: tasks.ring(["batch"]).run(connection))
        interactive = bell.count("interactive")
        assert hears(bell, "batch", lambda: tasks.ring(["batch"]).run(connection))
        assert bell.count("interactive") == interactive

        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        assert hears(bell, "batch", lambda: tasks.ring(["batch"]).run(connection))
    finally:
        stopping.set()
        thread.join()


def test_a_ring_between_the_count_and_the_wait_is_not_missed(database_url):
    bell = DatabaseBell(database_url, queues=("interactive",))
    seen = bell.count("interactive")
    bell.ring("interactive")
    started = time.monotonic()
    bell.wait("interactive", since=seen, timeout=30.0)
    assert time.monotonic() - started < 5


def test_what_was_submitted_before_it_listens_is_rung_too(database_url):
    bell = DatabaseBell(database_url, queues=("interactive",))
    stopping = threading.Event()
    thread = threading.Thread(target=bell.listen, args=(stopping,))
    thread.start()
    try:
        bell.wait("interactive", since=0, timeout=10.0)
        assert bell.count("interactive") >= 1
    finally:
        stopping.set()
        thread.join()


def test_an_unreachable_database_is_not_the_end(postgres):
    bell = DatabaseBell(postgres.url("no_such_database"), queues=("interactive",))
    stopping = threading.Event()
    thread = threading.Thread(target=bell.listen, args=(stopping,))
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    stopping.set()
    thread.join(10)
    assert not thread.is_alive()
    with psycopg.connect(postgres.url("postgres")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
