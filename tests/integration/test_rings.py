"""Rings in a real broker: settled in any order by a worker, and filled up again by the dispatcher."""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from app.dispatcher import WINDOW, Dispatcher
from app.publisher import Publisher
from core import batches, claims, rings
from core.batches import Order
from core.database import make_async_pool
from core.messages import RecommendPayload
from core.topology import DEAD_QUEUE, EXCHANGE, broker_queue
from ml_worker.bell import Ring
from ml_worker.consumer import BrokerBell, declare

QUEUE = "interactive"


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def listening(broker_url: str) -> Iterator[BrokerBell]:
    """A bell on its thread; it ends when the block does and gives back what is not settled."""
    bell, stopping = BrokerBell(broker_url, prefetch={QUEUE: 10}), threading.Event()
    thread = threading.Thread(target=bell.listen, args=(stopping,))
    thread.start()
    try:
        yield bell
    finally:
        stopping.set()
        thread.join(20)


def take(bell: BrokerBell, count: int) -> list[Ring]:
    taken: list[Ring] = []

    def all_are_here() -> bool:
        taken.extend(bell.take(QUEUE, limit=count))
        return len(taken) == count

    wait_for(all_are_here)
    return taken


def what_is_left(channel: BlockingChannel, count: int) -> list[list[uuid.UUID]]:
    """The tasks named by the messages in the queue, as soon as there are so many; they are taken out."""
    name = broker_queue(QUEUE).name
    wait_for(lambda: channel.queue_declare(name, passive=True).method.message_count == count)
    return [rings.parse(channel.basic_get(name, auto_ack=True)[2]) for _ in range(count)]


@pytest.mark.parametrize(
    ("settled", "left"),
    [
        ([[0, 1, 2, 3, 4, 5]], []),
        ([[2, 4], [0, 1]], [3, 5]),  # the second may reach up to the third, no farther
        ([[5], [1], [0]], [2, 3, 4]),
        ([[1, 0, 3]], [2, 4, 5]),
    ],
)
def test_no_ring_is_settled_with_its_neighbours(broker_url, settled, left):
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        declare(channel)
        task_ids = [uuid.uuid4() for _ in range(6)]
        for task_id in task_ids:
            channel.basic_publish(EXCHANGE, QUEUE, rings.encode(task_id))
        with listening(broker_url) as bell:
            taken = take(bell, 6)
            assert [ring.task_id for ring in taken] == task_ids
            for places in settled:
                bell.settle([taken[place] for place in places])
        assert what_is_left(channel, len(left)) == [[task_ids[place]] for place in left]


@pytest.mark.parametrize(
    ("named", "settled", "left"),
    [
        ([3, 2], [[0, 1, 2, 3, 4]], []),
        ([3, 2], [[0], [2], [1]], [1]),  # one after the other, and the last of them ends the message
        ([3, 2], [[0, 1], [3, 4]], [0]),
        ([2, 2, 2], [[0, 2, 4], [1, 5]], [1]),
    ],
)
def test_a_message_is_settled_when_all_of_its_tasks_are(broker_url, named, settled, left):
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        declare(channel)
        groups = [[uuid.uuid4() for _ in range(count)] for count in named]
        for group in groups:
            channel.basic_publish(EXCHANGE, QUEUE, rings.encode(*group))
        with listening(broker_url) as bell:
            taken = take(bell, sum(named))
            assert [ring.task_id for ring in taken] == [task_id for group in groups for task_id in group]
            for places in settled:
                bell.settle([taken[place] for place in places])
        assert what_is_left(channel, len(left)) == [groups[place] for place in left]


def test_of_a_message_that_is_partly_taken_all_tasks_are_given_back(broker_url):
    """Those in work are found running by whoever gets it next; the end of their work settles nothing twice."""
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        declare(channel)
        groups = [[uuid.uuid4() for _ in range(3)] for _ in range(2)]
        for group in groups:
            channel.basic_publish(EXCHANGE, QUEUE, rings.encode(*group))
        with listening(broker_url) as bell:
            taken = take(bell, 1)
            wait_for(lambda: channel.queue_declare(broker_queue(QUEUE).name, passive=True).method.message_count == 0)
            bell.stop_taking()
            wait_for(lambda: channel.queue_declare(broker_queue(QUEUE).name, passive=True).method.message_count == 2)
            bell.settle(taken)
        assert what_is_left(channel, 2) == groups


def test_a_message_with_a_task_of_another_queue_is_set_aside_once(broker_url):
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        declare(channel)
        group = [uuid.uuid4() for _ in range(3)]
        channel.basic_publish(EXCHANGE, QUEUE, rings.encode(*group))
        with listening(broker_url) as bell:
            taken = take(bell, 3)
            bell.settle(taken[1:], is_understood=False)
            bell.settle(taken[:1])
        assert what_is_left(channel, 0) == []
        assert channel.queue_declare(DEAD_QUEUE, passive=True).method.message_count == 1


def test_rings_that_come_together_wake_the_slots(broker_url):
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection, listening(broker_url) as bell:
        channel = connection.channel()
        wait_for(lambda: bell.is_connected)
        for _ in range(2):
            seen = bell.count(QUEUE)
            channel.basic_publish(EXCHANGE, QUEUE, rings.encode(uuid.uuid4()))
            bell.wait(QUEUE, since=seen, timeout=20)
            assert bell.count(QUEUE) > seen
            assert len(bell.take(QUEUE, limit=10)) == 1


def test_a_backlog_is_rung_as_fast_as_it_is_taken(connection, database_url, broker_url):
    """Nothing wakes the dispatcher when room becomes free in its window: it must look by itself, well before its next pass."""
    orders = [Order(place, RecommendPayload(user_id=str(place)), idem_key=str(place)) for place in range(WINDOW + 200)]
    batches.submit(orders, owner="alice").run(connection)

    def rung() -> int:
        return connection.execute("SELECT count(*) FROM tasks WHERE state = 'running' OR dispatched_at IS NOT NULL").fetchone()[0]

    async def until(what: Callable[[], bool]) -> None:
        while not what():  # noqa: ASYNC110 (what is polled is in the database)
            await asyncio.sleep(0.02)

    async def work() -> None:
        publisher = Publisher(broker_url)
        async with make_async_pool(database_url) as pool, asyncio.timeout(30):
            connecting = asyncio.create_task(publisher.run())
            await until(lambda: publisher.is_connected)
            dispatching = asyncio.create_task(Dispatcher(pool, publisher, interval_seconds=600).run())
            await until(lambda: rung() == WINDOW)
            await asyncio.sleep(1.5)  # rings and passes that are under way shall be over
            claims.claim_next(QUEUE, lease_owner="test", lease_seconds=600, limit=300).run(connection)
            await until(lambda: rung() == len(orders))
            for task in (dispatching, connecting):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    asyncio.run(work())
