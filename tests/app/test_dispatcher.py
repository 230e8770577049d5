"""The loop that keeps tasks moving."""

import asyncio
from contextlib import suppress

import psycopg
import pytest

from app.dispatcher import Dispatcher
from core import claims, tasks
from core.database import make_async_pool
from core.messages import RecommendPayload


@pytest.fixture
def dispatch(database_url):
    """Run a dispatcher while a check, called with it until it says yes, has patience."""

    def run(check):
        async def work():
            async with make_async_pool(database_url) as pool:
                dispatcher = Dispatcher(pool, interval_seconds=0.05)
                loop = asyncio.create_task(dispatcher.run())
                async with asyncio.timeout(30):
                    while not check(dispatcher):  # noqa: ASYNC110 (what is polled is in the database)
                        await asyncio.sleep(0.02)
                loop.cancel()
                with suppress(asyncio.CancelledError):
                    await loop

        asyncio.run(work())

    return run


def submit(connection, user_id, **options):
    return tasks.submit(RecommendPayload(user_id=user_id), owner="alice", **options).run(connection).id


def states(connection):
    return dict(connection.execute("SELECT payload ->> 'user_id', state FROM tasks").fetchall())


def test_lapsed_leases_are_taken_back_and_what_came_too_late_expires(connection, database_url, dispatch):
    lost = submit(connection, "lost")
    claims.claim_next("interactive", lease_owner="gone", lease_seconds=0.0, limit=1).run(connection)
    late = submit(connection, "late", deadline_seconds=-1.0)
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("LISTEN marquee_bell")
        listener.execute("LISTEN marquee_finished")
        dispatch(lambda _: states(connection) == {"lost": "queued", "late": "expired"})
        heard = {(told.channel, told.payload) for told in listener.notifies(timeout=5, stop_after=2)}
    assert heard == {("marquee_bell", "interactive"), ("marquee_finished", str(late))}
    assert claims.claim_next("interactive", lease_owner="next", lease_seconds=30, limit=5).run(connection).tasks[0].id == lost


def test_passes_are_counted_from_the_first_on(dispatch):
    seen = []

    def check(dispatcher):
        seen.append(dispatcher.seconds_since_pass)
        return seen[-1] is not None

    dispatch(check)
    assert seen[0] is None
    assert seen[-1] < 5


def test_it_survives_the_loss_of_the_database_and_says_so_once(connection, dispatch, postgres, capsys):
    (database,) = connection.execute("SELECT current_database()").fetchone()
    stages = iter(("lose", "wait", "return", "work"))
    stage = next(stages)

    def check(dispatcher):
        nonlocal stage
        if stage == "lose" and dispatcher.seconds_since_pass is not None:
            with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
                admin.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
                admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,))
            stage = next(stages)
        elif stage == "wait" and dispatcher.seconds_since_pass > 6:  # the pool gives up after 5
            with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
                admin.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
            stage = next(stages)
        elif stage == "return" and dispatcher.seconds_since_pass < 1:
            stage = next(stages)
        return stage == "work"

    dispatch(check)
    assert capsys.readouterr().out.count("the dispatcher waits for the database") == 1
