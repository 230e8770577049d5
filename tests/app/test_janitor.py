"""Forgetting tasks that ended long ago."""

import asyncio
from contextlib import suppress

import pytest

from app import janitor
from app.janitor import Janitor
from core.database import make_async_pool


@pytest.fixture
def old_tasks(connection):
    connection.execute(
        """INSERT INTO tasks (kind, queue, owner, payload_version, request_hash, max_attempts, state, created_at, finished_at)
           SELECT 'x', 'batch', 'a', 1, '', 1, 'succeeded', now() - n * interval '1 day', now() - n * interval '1 day'
           FROM generate_series(1, 60) n, generate_series(1, 50)"""
    )


def test_it_deletes_what_is_older_in_batches_and_keeps_the_rest(old_tasks, connection, database_url):
    async def work():
        async with make_async_pool(database_url) as pool:
            return await Janitor(pool, days=30).clean_up()

    deleted = asyncio.run(work())
    assert deleted == 31 * 50
    assert deleted > 2 * janitor.BATCH
    assert connection.execute("SELECT count(*), max(now() - finished_at) < interval '30 days' FROM tasks").fetchone() == (29 * 50, True)


def test_it_goes_on_after_a_fault(old_tasks, connection, database_url):
    async def work():
        async with make_async_pool(database_url) as pool:
            connection.execute("ALTER TABLE tasks RENAME TO mislaid")
            loop = asyncio.create_task(Janitor(pool, days=30, interval_seconds=0.05).run())
            await asyncio.sleep(0.2)
            connection.execute("ALTER TABLE mislaid RENAME TO tasks")
            async with asyncio.timeout(20):
                while connection.execute("SELECT count(*) FROM tasks").fetchone() != (29 * 50,):  # noqa: ASYNC110 (what is polled is in the database)
                    await asyncio.sleep(0.05)
            loop.cancel()
            with suppress(asyncio.CancelledError):
                await loop

    asyncio.run(work())
