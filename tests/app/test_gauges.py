"""The state of the queues, looked at seldom enough."""

import asyncio

import pytest

from app import gauges
from app.gauges import QueueGauges
from app.metrics import Metrics
from core import tasks
from core.database import make_async_pool
from core.messages import RecommendPayload


def refresh(url, metrics, *, times=1, between=lambda: None):
    async def work():
        async with make_async_pool(url) as pool:
            looking = QueueGauges(pool, metrics)
            for _ in range(times):
                await looking.refresh()
                between()

    asyncio.run(work())
    return metrics.render().decode()


def test_a_look_is_good_for_a_while(connection, database_url):
    def submit():
        tasks.submit(RecommendPayload(user_id="a"), owner="alice").run(connection)

    told = refresh(database_url, Metrics(), times=2, between=submit)
    assert 'marquee_queue_tasks{queue="interactive",state="queued"} 0.0' in told


@pytest.mark.slow
def test_without_the_database_nothing_is_told_rather_than_what_was(database_url):
    metrics = Metrics()
    assert "marquee_queue_tasks{" in refresh(database_url, metrics)
    told = refresh("postgresql://nobody@127.0.0.1:1/none", metrics)
    assert "marquee_queue_tasks{" not in told
    assert "marquee_queue_oldest_age_seconds{" not in told
    assert "marquee_live_model_age_seconds NaN" in told
    assert gauges.LOOK_SECONDS < 10, "Prometheus gives up after that"


def test_schedules_tell_when_they_fired_and_how_late(connection, database_url):
    connection.execute("UPDATE schedules SET is_enabled = true, next_fire_at = now() + interval '1 day'")
    connection.execute(
        "UPDATE schedules SET last_fired_at = to_timestamp(1000), last_due_at = to_timestamp(995) WHERE name = 'full-training'"
    )
    connection.execute("UPDATE schedules SET next_fire_at = now() - interval '1 hour' WHERE name = 'partial-training'")
    told = refresh(database_url, Metrics())
    assert 'marquee_schedule_last_fire_timestamp_seconds{schedule="full-training"} 1000.0' in told
    assert 'marquee_schedule_last_fire_timestamp_seconds{schedule="partial-training"}' not in told
    assert 'marquee_schedule_lag_seconds{schedule="full-training"} 5.0' in told
    assert 'marquee_schedule_lag_seconds{schedule="partial-training"} 36' in told
    assert 'marquee_schedule_lag_seconds{schedule="refresh-all-lists"} 0.0' in told


def test_the_live_model_tells_its_age(connection, database_url):
    assert "marquee_live_model_age_seconds +Inf" in refresh(database_url, Metrics())
    connection.execute(
        """INSERT INTO model_versions (algorithm, artifact, artifact_bytes, training_seconds, status, created_at)
           VALUES ('als', 'x', 1, 1, 'live', now() - interval '100 hours')"""
    )
    assert "marquee_live_model_age_seconds 36000" in refresh(database_url, Metrics())
