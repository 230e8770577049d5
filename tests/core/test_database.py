"""The pools: a connection that the server ended is found out before it is given to anybody, and the one used last is used again."""

import asyncio

import psycopg

from core.database import make_async_pool, make_pool


async def _pids(pool, count=1):
    found = []
    for _ in range(count):
        async with pool.connection() as connection:
            found.append((await (await connection.execute("SELECT pg_backend_pid()")).fetchone())[0])
    return found


def test_a_connection_of_the_app_that_was_ended_is_replaced(database_url):
    async def run():
        async with make_async_pool(database_url, max_size=1) as pool:
            (first,), again = await _pids(pool), await _pids(pool, 3)
            assert set(again) == {first}
            with psycopg.connect(database_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", (first,))
            (second,) = await _pids(pool)
            assert second != first

    asyncio.run(run())


def test_who_asks_one_thing_after_the_other_has_one_connection(database_url):
    async def run():
        async with make_async_pool(database_url) as pool:
            async with pool.connection() as first, pool.connection() as second:
                both = {first.info.backend_pid, second.info.backend_pid}
            assert len(both) == 2
            async with pool.connection() as one:
                last = one.info.backend_pid
            assert await _pids(pool, 4) == [last] * 4

    asyncio.run(run())


def test_a_connection_of_a_worker_that_was_ended_is_replaced(database_url):
    def pid():
        with pool.connection() as connection:
            return connection.execute("SELECT pg_backend_pid()").fetchone()[0]

    with make_pool(database_url, max_size=1) as pool:
        first = pid()
        assert {pid() for _ in range(3)} == {first}
        with psycopg.connect(database_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (first,))
        assert pid() != first
