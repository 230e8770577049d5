"""From interactions to a stored list with reasons, by the real handlers in a slot of the test."""

import pytest

from core import lists, tasks
from core.messages import Payload, RecommendPayload, RefreshListsPayload, TrainPayload
from core.narrowing import Narrowing
from tests.rigs.lists import stored


def finish(connection, make_slot, payload: Payload):
    """Submit, work every queue until nothing is due, and return the task's state, result and error."""
    task_id = tasks.submit(payload, owner="alice").run(connection).id
    slots = [make_slot(queue) for queue in ("train", "batch", "interactive")]
    while sum(slot.work_once() for slot in slots):  # all of them each time: `any` would stop at the first
        pass
    return connection.execute("SELECT state, result, error FROM tasks WHERE id = %s", (task_id,)).fetchone()


@pytest.fixture
def trained(connection, catalogue, make_slot):
    state, result, error = finish(connection, make_slot, TrainPayload(refresh_lists=False))
    assert (state, error) == ("succeeded", None)
    return result


def test_training_registers_the_models_and_puts_the_first_live(connection, trained):
    rows = connection.execute("SELECT id, algorithm, status, data_window FROM model_versions ORDER BY id").fetchall()
    assert [(row[0], row[1]) for row in rows] == [(model["id"], model["algorithm"]) for model in trained["models"]]
    assert [row[1:3] for row in rows] == [("als", "live"), ("popular", "candidate")]
    assert rows[0][3]["interaction_count"] == trained["interaction_count"] == 180


def test_a_list_follows_the_taste_leaves_out_what_is_seen_and_says_why(connection, make_slot, trained):
    state, result, _ = finish(connection, make_slot, RecommendPayload(user_id="u2"))
    stored = lists.read("u2", narrowing=Narrowing(count=20)).run(connection)
    assert (state, result["list_id"]) == ("succeeded", str(stored.list_id))
    first = stored.entries[0]
    assert first.item_id == "w1", "the one western that this lover of westerns has not met"
    assert first.reason == "because_you_watched"
    assert all(item["id"].startswith("w") for item in first.reason_items)
    assert {entry.item_id for entry in stored.entries} == {"w1", *(f"c{n}" for n in range(10))}
    assert (stored.is_cold, stored.is_stale, stored.model_version_id) == (False, False, trained["models"][0]["id"])


def test_a_stranger_gets_the_popular_items_and_a_new_event_makes_the_list_personal(connection, make_slot, trained):
    finish(connection, make_slot, RecommendPayload(user_id="stranger"))
    cold = lists.read("stranger", narrowing=Narrowing(count=20)).run(connection)
    assert (cold.is_cold, cold.entries[0].source, cold.entries[0].reason) == (True, "popular", "popular")

    connection.execute("INSERT INTO interactions (user_id, item_id, type, value, occurred_at) VALUES ('stranger', 'c0', 'like', 1, now())")
    stale = lists.read("stranger", narrowing=Narrowing(count=20)).run(connection)
    assert stale.is_stale
    assert "c0" not in {entry.item_id for entry in stale.entries}, "met since: gone before any worker has run"

    finish(connection, make_slot, RecommendPayload(user_id="stranger"))
    warm = lists.read("stranger", narrowing=Narrowing(count=5)).run(connection)
    assert not warm.is_cold
    assert all(entry.item_id.startswith("c") for entry in warm.entries)


def test_hidden_items_are_in_no_list(connection, make_slot, trained):
    connection.execute("UPDATE items SET is_hidden = true WHERE id = 'w1'")
    finish(connection, make_slot, RecommendPayload(user_id="u2"))
    entries = stored(connection, "u2")
    assert entries
    assert "w1" not in {entry.item_id for entry in entries}


def test_items_newer_than_the_model_do_no_harm(connection, make_slot, trained):
    connection.execute("INSERT INTO items (id, title) VALUES ('new', 'New')")
    connection.execute("INSERT INTO interactions (user_id, item_id, type, value, occurred_at) VALUES ('u2', 'new', 'like', 1, now())")
    finish(connection, make_slot, RecommendPayload(user_id="u2"))
    stored = lists.read("u2", narrowing=Narrowing(count=20)).run(connection)
    assert stored.entries[0].item_id == "w1"
    assert not stored.is_stale


@pytest.mark.parametrize("payload", [RecommendPayload(user_id="u1"), RefreshListsPayload()])
def test_without_a_model_the_answer_says_to_train(connection, catalogue, make_slot, payload):
    finish(connection, make_slot, payload)
    errors = connection.execute("SELECT error ->> 'code', error ->> 'message' FROM tasks WHERE state = 'failed'").fetchall()
    assert errors == [("no_model", "no model has been trained yet: submit a `train` task first")]


def test_a_deleted_user_is_named(connection, make_slot, trained):
    state, _, error = finish(connection, make_slot, RecommendPayload(user_id="gone"))
    assert (state, error["message"]) == ("failed", "there is no user 'gone' any more")


def test_a_refresh_makes_the_list_of_every_user_in_shards(connection, make_slot, trained):
    state, result, _ = finish(connection, make_slot, RefreshListsPayload(shard_count=4))
    assert (state, result) == ("succeeded", {"user_count": 21, "shard_count": 4})
    shards = connection.execute("SELECT count(*), sum((result ->> 'list_count')::int) FROM tasks WHERE kind = 'refresh_shard'").fetchone()
    assert shards == (4, 21)
    assert connection.execute("SELECT count(*) FROM recommendation_lists").fetchone() == (21,)


def test_training_is_followed_by_a_refresh(connection, catalogue, make_slot):
    finish(connection, make_slot, TrainPayload())
    assert connection.execute("SELECT count(*) FROM recommendation_lists").fetchone() == (21,)


def test_training_on_nothing_says_so_and_keeps_the_model(connection, make_slot, trained):
    connection.execute("DELETE FROM interactions")
    state, _, error = finish(connection, make_slot, TrainPayload())
    assert (state, error["code"]) == ("failed", "no_data")
    assert connection.execute("SELECT count(*) FROM model_versions WHERE status = 'live'").fetchone() == (1,)


def test_an_unknown_algorithm_is_named_with_those_that_exist(connection, catalogue, make_slot):
    state, _, error = finish(connection, make_slot, TrainPayload(algorithms=("alz",)))
    assert (state, error["code"]) == ("failed", "unknown_algorithm")
    assert "alz" in error["message"]
    assert "als" in error["message"]
