"""A refresh of all lists: resumed where a worker died, beside what people wait for, while models and items change."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from core import claims, failpoints, lists, model_versions, tasks
from core.failpoints import Point
from core.list_ids import origin_of
from core.messages import RecommendPayload, RefreshListsPayload, RefreshShardPayload, TrainPayload
from core.narrowing import Narrowing
from tests.rigs.lists import stored

PATIENCE = 30.0


@pytest.fixture
def versions(connection, catalogue, make_slot) -> dict[str, int]:
    """ALS live, popularity a candidate: the id of each."""
    tasks.submit(TrainPayload(refresh_lists=False), owner="alice").run(connection)
    assert make_slot("train").work_once()
    return dict(connection.execute("SELECT algorithm, id FROM model_versions").fetchall())


@contextmanager
def visiting(point: Point, visit: Callable[[], None], *, thread: str = "MainThread") -> Iterator[None]:
    """While this lasts, something happens whenever the thread of that name reaches the point."""

    def visitor(reached: Point) -> None:
        if reached == point and threading.current_thread().name.startswith(thread):
            visit()

    failpoints.visitors.append(visitor)
    try:
        yield
    finally:
        failpoints.visitors.remove(visitor)


def versions_of_lists(connection) -> set[int]:
    return {row[0] for row in connection.execute("SELECT DISTINCT model_version_id FROM recommendation_lists")}


def put_live(connection, version: int, *, replaced: int) -> None:
    for statement in model_versions.go_live(version, replaced_id=replaced, reason=None, otherwise="in the way"):
        statement.run(connection)


def test_what_a_dead_worker_left_is_done_by_another_and_nothing_twice(connection, versions, make_slot):
    task_id = tasks.submit(RefreshListsPayload(shard_count=6), owner="alice").run(connection).id
    slot = make_slot("batch")
    for _ in range(3):  # the plan, and two of its shards
        slot.work_once()
    early = dict(connection.execute("SELECT user_id, list_id FROM recommendation_lists").fetchall())
    (dead,) = claims.claim_next("batch", lease_owner="a worker that dies", lease_seconds=30, limit=1).run(connection).tasks
    connection.execute("UPDATE tasks SET lease_until = clock_timestamp() - interval '1 second' WHERE id = %s", (dead.id,))
    tasks.reap().run(connection)
    connection.execute("UPDATE tasks SET available_at = clock_timestamp() WHERE state = 'queued'")
    other = make_slot("batch")
    while other.work_once():
        pass
    shards = connection.execute(
        "SELECT id = %s, state, attempt, (result ->> 'list_count')::int FROM tasks WHERE parent_id = %s AND kind = 'refresh_shard'",
        (dead.id, task_id),
    ).fetchall()
    assert sorted((is_dead, state, attempt) for is_dead, state, attempt, _ in shards) == [(False, "succeeded", 1)] * 5 + [
        (True, "succeeded", 2)
    ]
    assert sum(count for *_, count in shards) == 21
    now = dict(connection.execute("SELECT user_id, list_id FROM recommendation_lists").fetchall())
    assert len(now) == 21
    assert early
    assert early.items() <= now.items(), "what was done is not done again"


def test_whoever_waits_for_a_list_does_not_wait_for_the_refresh(connection, versions, make_slot):
    for shard in range(3):
        tasks.submit(RefreshShardPayload(shard=shard, shard_count=3), owner="alice").run(connection)
    is_busy, goes_on = threading.Event(), threading.Event()

    def block() -> None:
        is_busy.set()
        assert goes_on.wait(PATIENCE)

    with ThreadPoolExecutor(thread_name_prefix="refresh") as threads, visiting("computed", block, thread="refresh"):
        refresh = threads.submit(make_slot("batch").work_once)
        try:
            assert is_busy.wait(PATIENCE)
            tasks.submit(RecommendPayload(user_id="u3"), owner="alice").run(connection)
            assert make_slot("interactive").work_once()
            assert connection.execute("SELECT user_id FROM recommendation_lists").fetchall() == [("u3",)]
        finally:
            goes_on.set()
        assert refresh.result(PATIENCE)


@pytest.mark.parametrize(
    ("queue", "payload"), [("interactive", RecommendPayload(user_id="u2")), ("batch", RefreshShardPayload(shard=0, shard_count=1))]
)
def test_a_model_that_goes_live_in_mid_batch_makes_the_next_lists(connection, versions, make_slot, queue, payload):
    slot = make_slot(queue)
    tasks.submit(payload, owner="alice").run(connection)
    with visiting("computed", lambda: put_live(connection, versions["popular"], replaced=versions["als"])):
        assert slot.work_once()
    assert versions_of_lists(connection) == {versions["als"]}, "each list says which model made it"
    of_list = lists.read("u2", narrowing=Narrowing()).run(connection)
    assert (of_list.model_version_id, origin_of(of_list.list_id).model_version_id) == (versions["als"], versions["als"])
    tasks.submit(payload, owner="alice").run(connection)
    assert slot.work_once()
    assert versions_of_lists(connection) == {versions["popular"]}


@pytest.mark.parametrize(
    ("queue", "payload"), [("interactive", RecommendPayload(user_id="u2")), ("batch", RefreshShardPayload(shard=0, shard_count=1))]
)
def test_an_item_hidden_in_mid_batch_is_shown_to_nobody(connection, versions, make_slot, queue, payload):
    slot = make_slot(queue)
    tasks.submit(payload, owner="alice").run(connection)
    with visiting("computed", lambda: connection.execute("UPDATE items SET is_hidden = true WHERE id = 'w1'")):
        assert slot.work_once()
    assert stored(connection, "u2")[0].item_id == "w1", "the list was made before"
    shown = lists.read("u2", narrowing=Narrowing(count=20)).run(connection)
    assert shown.entries
    assert "w1" not in {entry.item_id for entry in shown.entries}
    tasks.submit(payload, owner="alice").run(connection)
    assert slot.work_once()
    assert "w1" not in {entry.item_id for entry in stored(connection, "u2")}
