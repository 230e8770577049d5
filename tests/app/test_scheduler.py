"""Schedules fire once each, whoever looks and however long nobody did."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from app.metrics import DispatcherMetrics
from app.scheduler import Scheduler
from core import tasks
from core.database import make_async_pool
from core.messages import TrainPayload

MANY = {"user_ids": ["1"]}
START = datetime(2026, 3, 28, 12, tzinfo=UTC)


def add(connection, name="s", *, kind="recommend_many", payload=None, cron="*/15 * * * *", timezone=None, next_fire_at=None):
    connection.execute(
        "INSERT INTO schedules (name, kind, payload, cron, timezone, next_fire_at) VALUES (%s, %s, %s, %s, %s, %s)",
        (name, kind, Jsonb(MANY if payload is None else payload), cron, timezone, next_fire_at),
    )


def at_work(database_url, play, *, count=2, timezone="UTC"):
    """Play with so many dispatchers' schedulers."""

    async def work():
        async with make_async_pool(database_url, max_size=2 * count) as pool:
            return await play(*(Scheduler(pool, timezone=timezone) for _ in range(count)))

    return asyncio.run(work())


def row(connection, columns, name="s"):
    return connection.execute(f"SELECT {columns} FROM schedules WHERE name = %s", (name,)).fetchone()


def test_the_first_schedules_are_planned_in_the_zone_of_the_settings(connection, database_url):
    connection.execute("UPDATE schedules SET is_enabled = true")

    async def play(one, other):
        assert await asyncio.gather(one.fire(now=START), other.fire(now=START)) == [0, 0]

    at_work(database_url, play, timezone="Asia/Kathmandu")
    planned = connection.execute("SELECT name, next_fire_at FROM schedules ORDER BY name").fetchall()
    assert planned == [
        ("count-items", datetime(2026, 3, 28, 12, 5, tzinfo=UTC)),
        ("full-training", datetime(2026, 3, 28, 18, 15, tzinfo=UTC)),
        ("partial-training", datetime(2026, 3, 28, 12, 15, tzinfo=UTC)),
        ("refresh-all-lists", datetime(2026, 3, 28, 18, 45, tzinfo=UTC)),
    ]
    assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (0,)


steps = st.lists(st.tuples(st.integers(0, 3000), st.sampled_from(["one", "other", "both"])), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_any_dispatchers_and_any_downtime_fire_every_due_schedule_exactly_once(steps, connection, database_url):
    """The clock moves on by minutes; between two passes any number of times may have been missed, and one task makes up for them."""
    connection.execute("DELETE FROM schedules")
    connection.execute("DELETE FROM tasks")
    add(connection, "quarterly", cron="*/15 * * * *", next_fire_at=START)
    add(connection, "daily", cron="0 0 * * *", timezone="Europe/Berlin", next_fire_at=START)
    expected, due = [], {"quarterly": START, "daily": START}

    async def play(one, other):
        now = START - timedelta(minutes=1)
        for minutes, who in steps:
            now += timedelta(minutes=minutes)
            fired = [await one.fire(now=now)] if who == "one" else [await other.fire(now=now)] if who == "other" else None
            fired = fired or await asyncio.gather(one.fire(now=now), other.fire(now=now))
            ready = [name for name, moment in due.items() if moment <= now]
            assert sum(fired) == len(ready)
            for name in ready:
                expected.append(f"{name}@{due[name].isoformat()}")
                due[name] = row(connection, "next_fire_at", name)[0]
                assert now < due[name] <= now + timedelta(hours=25)
                assert row(connection, "last_fired_at, last_outcome", name) == (now, "submitted")

    at_work(database_url, play)
    assert sorted(key for (key,) in connection.execute("SELECT idem_key FROM tasks")) == sorted(expected)


def test_a_firing_says_what_it_was_and_how_late(connection, database_url):
    add(connection, next_fire_at=START)

    async def play(scheduler):
        assert await scheduler.fire(now=START - timedelta(seconds=1)) == 0
        assert await scheduler.fire(now=START + timedelta(minutes=50)) == 1

    at_work(database_url, play, count=1)
    ((task_id, kind, owner, payload),) = connection.execute("SELECT id, kind, owner, payload FROM tasks").fetchall()
    assert (kind, owner, payload) == ("recommend_many", "schedules", MANY)
    assert row(connection, "last_due_at, last_fired_at, last_outcome, last_task_id, next_fire_at, is_enabled") == (
        START, START + timedelta(minutes=50), "submitted", task_id, START + timedelta(minutes=60), True,
    )  # fmt: skip


def test_an_exclusive_kind_that_has_not_ended_is_skipped_and_noted(connection, database_url):
    active = tasks.submit(TrainPayload(), owner="alice").run(connection).id
    add(connection, kind="train", payload={}, next_fire_at=START)
    metrics = DispatcherMetrics()

    async def work():
        async with make_async_pool(database_url) as pool:
            assert await Scheduler(pool, timezone="UTC", metrics=metrics).fire(now=START) == 1

    asyncio.run(work())
    assert row(connection, "last_outcome, last_task_id, last_note, next_fire_at") == (
        "skipped", active, "the task of this kind that went before has not ended", START + timedelta(minutes=15),
    )  # fmt: skip
    assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (1,)
    assert b'marquee_schedule_fires_total{kind="train",outcome="skipped"} 1.0' in metrics.render()


def test_what_is_not_understood_is_noted_and_stops_no_other(connection, database_url):
    add(connection, "payload", payload={"user_ids": []}, next_fire_at=START)
    add(connection, "kind", kind="dance", next_fire_at=START)
    add(connection, "cron", cron="whenever", next_fire_at=START)
    add(connection, "unplanned", cron="whenever")
    add(connection, "zone", timezone="Mars/Olympus", next_fire_at=START)
    add(connection, "good", next_fire_at=START)

    async def play(one, other):
        assert sum(await asyncio.gather(one.fire(now=START), other.fire(now=START))) == 6

    at_work(database_url, play)
    told = {name: row(connection, "last_outcome, is_enabled, last_note", name) for name in ("payload", "kind", "cron", "unplanned", "zone")}
    assert {outcome for outcome, _, _ in told.values()} == {"refused"}
    assert {name for name, (_, is_enabled, _) in told.items() if is_enabled} == {"payload", "kind"}
    assert told["payload"][2].startswith("user_ids: ")
    assert told["kind"][2].startswith("no task kind is named 'dance'")
    assert row(connection, "last_outcome", "good") == ("submitted",)


def test_a_new_zone_in_the_settings_moves_what_follows_it_but_nothing_that_is_due(connection, database_url):
    add(connection, "follows", cron="0 0 * * *", next_fire_at=datetime(2026, 3, 29, tzinfo=UTC))
    add(connection, "named", cron="0 0 * * *", timezone="UTC", next_fire_at=datetime(2026, 3, 29, tzinfo=UTC))
    add(connection, "due", cron="0 0 * * *", next_fire_at=START)

    async def play(scheduler):
        await scheduler.plan(now=START)

    at_work(database_url, play, count=1, timezone="Europe/Berlin")
    assert row(connection, "next_fire_at", "follows") == (datetime(2026, 3, 28, 23, tzinfo=UTC),)
    assert row(connection, "next_fire_at", "named") == (datetime(2026, 3, 29, tzinfo=UTC),)
    assert row(connection, "next_fire_at", "due") == (START,)


@pytest.fixture
def met(connection):
    connection.execute("INSERT INTO users (id) VALUES ('u')")
    connection.execute("INSERT INTO items (id, title) VALUES ('i', 'I')")
    connection.execute("INSERT INTO interactions (user_id, item_id, type, value, occurred_at) VALUES ('u', 'i', 'like', 1, now())")


async def look(*schedulers):
    return sorted(await asyncio.gather(*(scheduler.ensure_first_training() for scheduler in schedulers)))


def test_data_without_a_model_is_trained_on_once_however_many_look(met, connection, database_url):
    assert at_work(database_url, look, count=4) == [False, False, False, True]
    assert connection.execute("SELECT kind, payload ->> 'scope', owner FROM tasks").fetchall() == [("train", "full", "schedules")]
    connection.execute("UPDATE tasks SET state = 'cancelled', finished_at = now()")
    assert at_work(database_url, look) == [False, False], "who cancelled it wants none now"


def test_no_first_training_without_data_or_beside_a_model_or_another_training(connection, database_url, request):
    assert at_work(database_url, look) == [False, False]
    request.getfixturevalue("met")
    task_id = tasks.submit(TrainPayload(), owner="alice").run(connection).id
    assert at_work(database_url, look) == [False, False]
    connection.execute("DELETE FROM tasks WHERE id = %s", (task_id,))
    connection.execute("INSERT INTO model_versions (algorithm, artifact, artifact_bytes, training_seconds) VALUES ('als', 'x', 1, 1)")
    assert at_work(database_url, look) == [False, False]


def test_passes_fire_by_the_clock_of_the_database(connection, database_url):
    add(connection, next_fire_at=datetime(2026, 1, 1, tzinfo=UTC))

    async def play(scheduler):
        assert await scheduler.make_pass() is False
        await scheduler.make_pass()

    at_work(database_url, play, count=1)
    assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (1,)
    assert connection.execute("SELECT next_fire_at > now() FROM schedules WHERE name = 's'").fetchone() == (True,)
