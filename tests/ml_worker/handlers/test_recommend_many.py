"""Many lists in one task."""

import pytest

from core import lists, tasks
from core.artifacts import RESULT_FILE
from core.messages import RecommendManyPayload, TrainPayload
from core.narrowing import Narrowing


def finish(connection, make_slot, payload):
    task_id = tasks.submit(payload, owner="alice").run(connection).id
    slots = [make_slot("train"), make_slot("batch")]
    while sum(slot.work_once() for slot in slots):
        pass
    return connection.execute("SELECT state, result, error, artifact, artifact_bytes FROM tasks WHERE id = %s", (task_id,)).fetchone()


@pytest.fixture
def trained(connection, catalogue, make_slot):
    finish(connection, make_slot, TrainPayload(algorithms=("popular",), refresh_lists=False))


def test_every_user_gets_a_list_and_the_result_tells_of_each(connection, make_slot, trained):
    state, result, _, artifact, _ = finish(connection, make_slot, RecommendManyPayload(user_ids=("u1", "gone", "u2", "u1")))
    assert (state, result["user_count"], result["list_count"], artifact) == ("succeeded", 3, 2, None)
    assert [(item["user_id"], item["outcome"]) for item in result["items"]] == [
        ("u1", "computed"),
        ("gone", "user_not_found"),
        ("u2", "computed"),
    ]
    assert result["items"][0]["list_id"] == str(lists.read("u1", narrowing=Narrowing(count=1)).run(connection).list_id)


def test_a_large_result_becomes_an_artifact_and_its_row_keeps_the_plain_members(connection, make_slot, trained):
    connection.execute("INSERT INTO users (id) SELECT 'many-' || n FROM generate_series(1, 1000) n")
    user_ids = tuple(f"many-{n}" for n in range(1, 1001))
    slot = make_slot("batch")
    state, result, _, artifact, size = finish(connection, make_slot, RecommendManyPayload(user_ids=user_ids))
    assert (state, result) == ("succeeded", {"user_count": 1000, "list_count": 1000})
    content = slot.context.registry.store.get(artifact)[RESULT_FILE]
    assert len(content) == size > 64 * 1024
    assert connection.execute("SELECT count(*) FROM recommendation_lists").fetchone() == (1000,)


def test_without_a_model_the_answer_says_to_train(connection, catalogue, make_slot):
    state, _, error, _, _ = finish(connection, make_slot, RecommendManyPayload(user_ids=("u1",)))
    assert (state, error["code"]) == ("failed", "no_model")
