"""Waiting for the end of a task."""

import asyncio
import time
import uuid
from contextlib import asynccontextmanager, suppress

import pytest

from app.notifications import FinishedTasks
from core import tasks
from core.database import make_async_pool
from core.messages import RecommendPayload


@pytest.fixture
def listening(database_url):
    @asynccontextmanager
    async def run():
        async with make_async_pool(database_url) as pool:
            finished = FinishedTasks(database_url, pool)
            listener = asyncio.create_task(finished.listen())
            await until(lambda: finished.is_listening)
            yield finished
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener

    return run


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (what is polled tells nobody)
            await asyncio.sleep(0.01)


@pytest.fixture
def submit(connection):
    return lambda: tasks.submit(RecommendPayload(user_id="1"), owner="alice").run(connection).id


@pytest.fixture
def finish(connection):
    def run(task_id, *, notify=True):
        connection.execute("UPDATE tasks SET state = 'cancelled', finished_at = now() WHERE id = %s", (task_id,))
        if notify:
            tasks.notify_finished([uuid.uuid4(), task_id]).run(connection)

    return run


def seconds(coroutine):
    began = time.monotonic()
    asyncio.run(coroutine)
    return time.monotonic() - began


def test_a_notification_wakes_everybody_who_waits_for_the_task(listening, submit, finish):
    task_id = submit()

    async def work():
        async with listening() as finished:
            waiting = [asyncio.create_task(finished.wait(task_id, seconds=30)) for _ in range(3)]
            await until(lambda: len(finished._waiting.get(task_id, ())) == 3)
            finish(task_id)
            await asyncio.gather(*waiting)
            assert finished._waiting == {}

    assert seconds(work()) < 4  # sooner than the next look of its own


def test_what_ended_before_is_not_waited_for(listening, submit, finish):
    task_id = submit()
    finish(task_id, notify=False)

    async def work():
        async with listening() as finished:
            await finished.wait(task_id, seconds=30)
            await finished.wait(uuid.uuid4(), seconds=30)  # nor what does not exist

    assert seconds(work()) < 4


def test_the_wait_is_over_when_its_time_is_up(listening, submit):
    task_id = submit()

    async def work():
        async with listening() as finished:
            await finished.wait(task_id, seconds=0.2)

    assert 0.2 <= seconds(work()) < 4


def test_a_lost_connection_is_made_again_and_what_was_missed_is_noticed(listening, submit, finish, connection):
    task_id, later = submit(), uuid.uuid4()
    connection.execute(
        "INSERT INTO tasks (id, kind, queue, owner, payload_version, request_hash, max_attempts) VALUES (%s, 'x', 'batch', 'a', 1, '', 1)",
        (later,),
    )

    async def work():
        async with listening() as finished:
            waiting = asyncio.create_task(finished.wait(task_id, seconds=30))
            await until(lambda: finished._waiting)
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
            finish(task_id)  # nobody listens
            await until(lambda: not finished.is_listening)
            await waiting
            await until(lambda: finished.is_listening)
            waiting = asyncio.create_task(finished.wait(later, seconds=30))
            await until(lambda: finished._waiting)
            finish(later)
            await waiting

    assert seconds(work()) < 8


def test_nobody_waits_when_the_process_stops(listening, submit):
    task_id = submit()

    async def work():
        async with listening() as finished:
            waiting = asyncio.create_task(finished.wait(task_id, seconds=30))
            await until(lambda: finished._waiting)
            finished.stop_waiting()
            await waiting
            await finished.wait(task_id, seconds=30)

    assert seconds(work()) < 4
