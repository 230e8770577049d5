"""Looking at followed tasks."""

import asyncio
from contextlib import aclosing, asynccontextmanager, suppress

import psycopg
import pytest

from app.changes import TaskChanges
from core import claims, tasks
from core.database import make_async_pool
from core.messages import RecommendPayload


@pytest.fixture
def looking(database_url):
    @asynccontextmanager
    async def run(**options):
        async with make_async_pool(database_url) as pool:
            changes = TaskChanges(pool, **{"look_seconds": 0.05, **options})
            loop = asyncio.create_task(changes.look())
            async with asyncio.timeout(30):
                yield changes
            loop.cancel()
            with suppress(asyncio.CancelledError):
                await loop

    return run


@pytest.fixture
def task_id(connection):
    return tasks.submit(RecommendPayload(user_id="1"), owner="alice").run(connection).id


def claim(connection):
    (claimed,) = claims.claim_next("interactive", lease_owner="test", lease_seconds=30, limit=1).run(connection).tasks
    return claimed


def test_all_followers_of_a_task_see_the_same_and_what_was_seen_is_not_told_again(connection, looking, task_id):
    claim(connection)

    async def work():
        async with looking() as changes:
            early, late = changes.follow(task_id, after=0), changes.follow(task_id, after=1)
            async with aclosing(early), aclosing(late):
                assert (await anext(early)).revision == 1
                tasks.request_cancel(task_id).run(connection)
                both = await asyncio.gather(anext(early), anext(late))
                assert both[0] is both[1], "read once"
                assert (both[0].revision, both[0].cancel_requested) == (2, True)

    asyncio.run(work())


def test_a_row_that_is_gone_ends_what_follows_it(connection, looking, task_id):
    async def work():
        async with looking() as changes:
            following = asyncio.create_task(anext(changes.follow(task_id, after=0), None))
            await asyncio.sleep(0)
            connection.execute("DELETE FROM tasks")
            assert await following is None

    asyncio.run(work())


def test_the_end_of_a_task_is_looked_at_without_delay(connection, looking, task_id):
    async def work():
        async with looking(look_seconds=3600.0) as changes:
            following = asyncio.create_task(anext(changes.follow(task_id, after=0)))
            await asyncio.sleep(0)
            tasks.request_cancel(task_id).run(connection)
            changes.hurry(task_id)
            assert (await following).state == "cancelled"

    asyncio.run(work())


def test_nobody_follows_when_the_process_stops(looking, task_id):
    async def work():
        async with looking(look_seconds=3600.0) as changes:
            following = asyncio.create_task(anext(changes.follow(task_id, after=0), None))
            await asyncio.sleep(0)
            changes.stop()
            assert await following is None
            assert [sight async for sight in changes.follow(task_id, after=0)] == []

    asyncio.run(work())


def test_it_survives_the_loss_of_the_database(connection, looking, task_id, postgres):
    (database,) = connection.execute("SELECT current_database()").fetchone()

    async def work():
        async with looking() as changes:
            following = asyncio.create_task(anext(changes.follow(task_id, after=0)))
            await asyncio.sleep(0.1)
            with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> %s",
                    (database, connection.info.backend_pid),
                )
            claim(connection)
            assert (await following).state == "running"

    asyncio.run(work())
