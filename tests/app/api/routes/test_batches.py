"""Asking for much work at once: every row is answered for itself."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from core import claims, tasks
from core.messages import RecommendPayload


def recommend(user_id, **more):
    return {"kind": "recommend", "payload": {"user_id": user_id}, **more}


def submit(person, *rows):
    answer = person.post("/tasks/batch", {"tasks": list(rows)})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert [row["index"] for row in told["data"]] == list(range(len(rows)))
    assert sum(told["counts"].values()) == len(rows)
    return told["data"]


def statuses(rows):
    return [row["status"] for row in rows]


@pytest.fixture
def users(connection):
    connection.execute("INSERT INTO users (id) SELECT 'b' || n FROM generate_series(0, 9) n")
    return [f"b{n}" for n in range(10)]


def test_a_bad_row_never_costs_the_good_ones(service, users, connection):
    rows = submit(
        service,
        recommend("b0"),
        recommend("nobody"),
        recommend("b1", idempotency_key="k1", deadline_seconds=60),
        {"kind": "dance", "payload": {}},
        {"kind": "train", "payload": {}},
        recommend("b2", idempotency_key="with space"),
        {"kind": "recommend", "payload": {"user_id": 7}},
        {"kind": "recommend", "payload": {}, "priority": 9},
        "not even an object",
        None,
        recommend("b2", deadline_seconds=0),
        recommend("b2"),
    )
    assert statuses(rows) == [
        "created", "not_found", "created", "invalid", "forbidden", "invalid",
        "invalid", "invalid", "invalid", "invalid", "invalid", "created",
    ]  # fmt: skip
    fields = [[error["field"] for error in row["error"].get("errors", [])] for row in rows if "error" in row]
    assert fields == [[], ["kind"], [], ["idempotency_key"], ["payload.user_id"], ["priority"], ["row"], ["row"], ["deadline_seconds"]]
    assert rows[1]["error"] == {"type": "/problems/user-not-found", "title": "No such user", "detail": "There is no user 'nobody'."}
    stored = connection.execute("SELECT id::text, payload ->> 'user_id', deadline_at IS NOT NULL FROM tasks ORDER BY created_at").fetchall()
    assert stored == [(rows[0]["task_id"], "b0", False), (rows[2]["task_id"], "b1", True), (rows[11]["task_id"], "b2", False)]


def test_each_row_is_answered_as_if_it_had_been_sent_alone(admin, service, users, visitor):
    earlier = service.post("/tasks", recommend("b0"), headers={"Idempotency-Key": "k0"}).json()["id"]
    queued = visitor.post("/tasks", recommend(visitor.user_id)).json()["id"]
    rows = submit(
        service,
        recommend("b0", idempotency_key="k0"),
        recommend("b1", idempotency_key="k0"),
        recommend(visitor.user_id),
        recommend("b2"),
        recommend("b2"),
        recommend("b3", idempotency_key="k3"),
        recommend("b3", idempotency_key="k3"),
        recommend("b4", idempotency_key="k3"),
        recommend("b5", deadline_seconds=60),
        recommend("b5"),
        recommend("b5"),
    )
    assert statuses(rows) == [
        "repeated", "conflict", "coalesced", "created", "coalesced", "created", "repeated", "conflict", "created", "created", "coalesced",
    ]  # fmt: skip
    ids = [row["task_id"] for row in rows]
    assert ids[:3] == [earlier, earlier, queued]
    assert (ids[4], ids[6], ids[7], ids[10]) == (ids[3], ids[5], ids[5], ids[9])
    assert rows[1]["error"]["type"] == "/problems/idempotency-key-reused"

    first, second = submit(admin, {"kind": "train", "payload": {}}, {"kind": "train", "payload": {"algorithms": ["popular"]}})
    assert (first["status"], second["status"], second["task_id"]) == ("created", "conflict", first["task_id"])
    assert second["error"]["type"] == "/problems/task-already-active"


def test_a_batch_may_be_repeated(service, users):
    rows = [recommend(user, idempotency_key=f"k-{user}") for user in users]
    first = submit(service, *rows)
    again = submit(service, *reversed(rows))
    assert set(statuses(again)) == {"repeated"}
    assert [row["task_id"] for row in reversed(again)] == [row["task_id"] for row in first]


def test_the_same_batch_at_once_makes_each_task_once(service, users, connection):
    rows = [recommend(user, idempotency_key=f"k-{user}-{n}") for user in users for n in range(30)]
    start = threading.Barrier(4)

    def send(turn):
        start.wait()
        return submit(service, *(rows if turn % 2 else reversed(rows)))

    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(send, range(4)))
    assert sum(statuses(rows).count("created") for rows in answers) == 300
    assert {status for rows in answers for status in statuses(rows)} == {"created", "repeated"}
    assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (300,)


def test_a_batch_waits_for_the_same_key_under_way_elsewhere(service, users, database_url, connection):
    with psycopg.connect(database_url) as other, ThreadPoolExecutor() as threads:
        first = tasks.submit(RecommendPayload(user_id="b0"), owner=str(service.account_id), idem_key="k").run(other)
        asked = threads.submit(submit, service, recommend("b0", idempotency_key="k"), recommend("b1"))
        deadline = time.monotonic() + 10
        while connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        other.commit()
        rows = asked.result()
    assert statuses(rows) == ["repeated", "created"]
    assert rows[0]["task_id"] == str(first.id)


def test_workers_are_rung_once_and_take_the_tasks_in_the_order_of_the_batch(service, users, database_url, connection):
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("LISTEN marquee_bell")
        rows = submit(service, *(recommend(user, idempotency_key=f"k{9 - n}") for n, user in enumerate(users)))
        heard = [told.payload for told in listener.notifies(timeout=1)]
    assert heard == ["interactive"]
    claimed = claims.claim_next("interactive", lease_owner="test", lease_seconds=30, limit=20).run(connection).tasks
    assert [str(task.id) for task in claimed] == [row["task_id"] for row in rows]


def test_a_call_takes_ten_thousand_rows(service, connection):
    connection.execute("INSERT INTO users (id) SELECT 'n' || n FROM generate_series(1, 9999) n")
    rows = submit(service, *(recommend(f"n{n}") for n in range(10_000)))
    assert statuses(rows) == ["not_found", *["created"] * 9999]
    assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (9999,)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "tasks"),
        ({"tasks": []}, "tasks"),
        ({"tasks": {}}, "tasks"),
        ({"tasks": [None] * 10_001}, "tasks"),
        ({"tasks": [1], "x": 1}, "x"),
    ],
)
def test_what_is_no_batch_is_refused(visitor, complaint, body, field):
    assert list(complaint(visitor.post("/tasks/batch", body))) == [field]


def test_a_visitor_asks_for_the_own_user_only(visitor, admin):
    rows = submit(visitor, recommend(visitor.user_id), recommend(admin.user_id), {"kind": "refresh_lists", "payload": {}})
    assert statuses(rows) == ["created", "forbidden", "forbidden"]
