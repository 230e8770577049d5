"""Forgetting tasks that ended long ago, and artifacts that nobody points to."""

import asyncio
import os
import time
from contextlib import suppress

import pytest

from app import janitor
from app.janitor import Janitor
from app.metrics import Metrics
from core.artifacts import ArtifactNotFound, ArtifactStore
from core.catalogue_changes import KEPT
from core.database import make_async_pool
from tests.rigs.s3 import BUCKET, s3_server

HOUR = 3600


@pytest.fixture
def old_tasks(connection):
    connection.execute(
        """INSERT INTO tasks (kind, queue, owner, payload_version, request_hash, max_attempts, state, created_at, finished_at)
           SELECT 'x', 'batch', 'a', 1, '', 1, 'succeeded', now() - n * interval '1 day', now() - n * interval '1 day'
           FROM generate_series(1, 60) n, generate_series(1, 50)"""
    )


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def clean_up(database_url, store):
    """Run one chore of a janitor."""

    def run(chore, artifacts=store, **limits):
        async def work():
            async with make_async_pool(database_url) as pool:
                made = Janitor(pool, artifacts, **{"task_days": 30, "orphan_hours": 2, **limits})
                return await getattr(made, chore)()

        return asyncio.run(work())

    return run


@pytest.fixture
def put(store, tmp_path):
    """Store an artifact that was written so many hours ago."""

    def make(hours):
        key = store.put({"result.json": b"{}"}).key
        for path in (tmp_path / "artifacts" / key).iterdir():
            os.utime(path, (time.time() - hours * HOUR,) * 2)
        return key

    return make


def test_it_deletes_what_is_older_in_batches_and_keeps_the_rest(old_tasks, connection, clean_up):
    deleted = clean_up("forget_tasks")
    assert deleted == 31 * 50
    assert deleted > 2 * janitor.BATCH
    assert connection.execute("SELECT count(*), max(now() - finished_at) < interval '30 days' FROM tasks").fetchone() == (29 * 50, True)


def test_old_impressions_are_forgotten_but_for_those_of_an_experiment_that_runs(connection, clean_up):
    connection.execute("INSERT INTO items (id, title) VALUES ('i', 'I')")
    names = {False: "over", True: "running"}
    for is_running, name in names.items():
        ended_at = None if is_running else "2020-01-01T00:00:00Z"
        connection.execute("INSERT INTO experiments (name, share_b, ended_at) VALUES (%s, 0.5, %s)", (name, ended_at))
    connection.execute(
        """INSERT INTO impressions (list_id, item_id, surface, arm, experiment_id, shown_at)
           SELECT gen_random_uuid(), 'i', 'personal', 0, experiment.id, now() - n * interval '1 day'
           FROM generate_series(1, 600) n, (SELECT id FROM experiments UNION ALL SELECT NULL) AS experiment"""
    )
    assert clean_up("forget_impressions", impression_days=400) == 2 * 201
    kept = "SELECT coalesce(name, 'none'), count(*) FROM impressions LEFT JOIN experiments ON experiments.id = experiment_id GROUP BY 1"
    assert dict(connection.execute(kept).fetchall()) == {"none": 399, "over": 399, "running": 600}


def test_of_the_notes_that_items_changed_the_latest_are_kept(connection, clean_up):
    connection.execute("INSERT INTO catalogue_changes SELECT FROM generate_series(1, 2100)")
    assert clean_up("forget_changes") > janitor.BATCH
    assert clean_up("forget_changes") == 0
    count, span = connection.execute("SELECT count(*), max(id) - min(id) FROM catalogue_changes").fetchone()
    assert (count, span) == (KEPT + 1, KEPT)


def test_it_collects_old_artifacts_that_nobody_points_to(connection, store, put, clean_up):
    of_model, of_task, fresh, orphan = put(50), put(50), put(1), put(3)
    connection.execute(
        "INSERT INTO model_versions (algorithm, artifact, artifact_bytes, training_seconds) VALUES ('a', %s, 2, 1)", (of_model,)
    )
    connection.execute(
        """INSERT INTO tasks (kind, queue, owner, payload_version, request_hash, max_attempts, state, finished_at, artifact)
           VALUES ('x', 'batch', 'a', 1, '', 1, 'succeeded', now(), %s)""",
        (of_task,),
    )
    assert clean_up("collect_orphans") == 1
    assert store.ages().keys() == {of_model, of_task, fresh}
    with pytest.raises(ArtifactNotFound):
        store.get(orphan)
    connection.execute("DELETE FROM tasks")
    assert clean_up("collect_orphans") == 1, "what the last row pointed to is an orphan"
    assert store.ages().keys() == {of_model, fresh}


def test_a_write_under_way_and_its_pointer_are_never_in_a_collectors_way(store, put, clean_up):
    """A publisher is between its write and its commit as long as it likes below the limit, whatever was collected before."""
    same = put(3)  # an old attempt of the very same content
    published = store.put({"result.json": b"{}"}).key
    assert clean_up("collect_orphans") == 1
    assert (published != same, store.get(published)) == (True, {"result.json": b"{}"})


def test_many_orphans_are_collected_by_two_janitors_at_once(database_url, store, put):
    for _ in range(40):
        put(5)

    async def work():
        async with make_async_pool(database_url) as pool:
            both = [Janitor(pool, store, task_days=30, orphan_hours=2) for _ in range(2)]
            await asyncio.gather(*(made.collect_orphans() for made in both))

    asyncio.run(work())
    assert store.ages() == {}


def test_it_collects_in_a_bucket(clean_up):
    with s3_server() as server:
        bucket = ArtifactStore(f"s3://{BUCKET}/prefix", server.access)
        bucket.check()
        bucket.put({"result.json": b"{}"})
        assert clean_up("collect_orphans", bucket) == 0, "it is young"
        assert clean_up("collect_orphans", bucket, orphan_hours=-1) == 1
        assert bucket.ages() == {}


def test_it_goes_on_after_a_fault(old_tasks, connection, database_url, store):
    metrics = Metrics()

    async def work():
        async with make_async_pool(database_url) as pool:
            connection.execute("ALTER TABLE tasks RENAME TO mislaid")
            made = Janitor(pool, store, task_days=30, orphan_hours=0, metrics=metrics, interval_seconds=0.05)
            loop = asyncio.create_task(made.run())
            await asyncio.sleep(0.2)
            connection.execute("ALTER TABLE mislaid RENAME TO tasks")
            async with asyncio.timeout(20):
                while 'deleted_total{what="tasks"} 1550.0' not in metrics.render().decode():  # noqa: ASYNC110 (what is polled is a counter)
                    await asyncio.sleep(0.05)
            loop.cancel()
            with suppress(asyncio.CancelledError):
                await loop

    asyncio.run(work())
    assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (29 * 50,)
