"""Tasks over HTTP, with the test in the part of the worker."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from core import claims, tasks
from core.messages import RefreshShardPayload

TRAIN = {"kind": "train", "payload": {"algorithms": ["popular"]}}


def recommend(person, **more):
    return {"kind": "recommend", "payload": {"user_id": person.user_id}, **more}


def claim(connection, queue="interactive"):
    (claimed,) = claims.claim_next(queue, lease_owner="test", lease_seconds=30, limit=1).run(connection).tasks
    return claimed


def test_a_task_is_accepted_and_followed_to_its_end(visitor, connection):
    accepted = visitor.post("/tasks", recommend(visitor, deadline_seconds=60))
    assert accepted.status_code == 202, accepted.text
    task = accepted.json()
    assert accepted.headers["location"] == f"/api/v1/tasks/{task['id']}"
    assert (task["state"], task["owner"], task["attempt"], task["progress"]) == ("queued", str(visitor.account_id), 0, 0)
    assert task["deadline_at"] is not None

    claimed = claim(connection)
    claims.renew([claims.Progress(claimed, 0.5, "half")], lease_seconds=30).run(connection)
    running = visitor.get(f"/tasks/{task['id']}").json()
    assert (running["state"], running["progress"], running["progress_note"]) == ("running", 0.5, "half")

    claims.complete([claims.Outcome(claimed, {"count": 20})]).run(connection)
    done = visitor.get(f"/tasks/{task['id']}").json()
    assert (done["state"], done["result"], done["error"]) == ("succeeded", {"count": 20}, None)
    assert done["finished_at"] is not None


def test_the_progress_of_a_refresh_is_that_of_all_its_shards(admin, visitor, connection):
    path = f"/tasks/{admin.post('/tasks', {'kind': 'refresh_lists', 'payload': {}}).json()['id']}/children"
    assert admin.get(path).json() == {"total": 0, "ended": 0, "progress": 0, "states": {}}
    parent = claim(connection, "batch")
    for shard in range(4):
        tasks.submit(RefreshShardPayload(shard=shard, shard_count=4), owner="x", parent_id=parent.id).run(connection)
    claims.complete([claims.Outcome(parent, {}), claims.Outcome(claim(connection, "batch"), {})]).run(connection)
    claims.renew([claims.Progress(claim(connection, "batch"), 0.5, "half")], lease_seconds=30).run(connection)
    told = admin.get(path).json()
    assert told == {"total": 4, "ended": 1, "progress": 0.375, "states": {"succeeded": 1, "running": 1, "queued": 2}}
    assert visitor.get(path).json()["type"] == "/problems/task-not-found"


def test_a_long_poll_ends_with_the_task(visitor, connection):
    task_id = visitor.post("/tasks", recommend(visitor)).json()["id"]
    claimed = claim(connection)
    with ThreadPoolExecutor() as threads:
        began = time.monotonic()
        asked = threads.submit(visitor.get, f"/tasks/{task_id}", params={"wait": 30})
        with connection.transaction():
            claims.complete([claims.Outcome(claimed, {})]).run(connection)
        assert asked.result().json()["state"] == "succeeded"
    assert time.monotonic() - began < 10


def test_a_long_poll_answers_an_ended_task_at_once_and_another_one_when_the_wait_is_over(visitor):
    task_id = visitor.post("/tasks", recommend(visitor)).json()["id"]
    assert visitor.get(f"/tasks/{task_id}", params={"wait": 0.2}).json()["state"] == "queued"
    visitor.post(f"/tasks/{task_id}/cancel")
    began = time.monotonic()
    assert visitor.get(f"/tasks/{task_id}", params={"wait": 30}).json()["state"] == "cancelled"
    assert time.monotonic() - began < 5


def test_cancelling_wakes_who_waits(visitor):
    task_id = visitor.post("/tasks", recommend(visitor)).json()["id"]
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(visitor.get, f"/tasks/{task_id}", params={"wait": 30})
        cancelled = visitor.post(f"/tasks/{task_id}/cancel")
        assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
        assert asked.result(timeout=10).json()["state"] == "cancelled"


def test_a_running_task_is_asked_to_stop_and_an_ended_one_cannot_be_cancelled(visitor, connection):
    task_id = visitor.post("/tasks", recommend(visitor)).json()["id"]
    claimed = claim(connection)
    asked = visitor.post(f"/tasks/{task_id}/cancel").json()
    assert (asked["state"], asked["cancel_requested"]) == ("running", True)
    claims.complete([claims.Outcome(claimed, {})]).run(connection)
    late = visitor.post(f"/tasks/{task_id}/cancel")
    assert (late.status_code, late.json()["type"]) == (409, "/problems/task-ended")


def test_the_same_key_names_the_same_task_and_another_body_is_refused(service, visitor, admin):
    key = {"Idempotency-Key": "order-1"}
    first = service.post("/tasks", recommend(visitor), headers=key)
    again = service.post("/tasks", recommend(visitor), headers=key)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    other = service.post("/tasks", recommend(admin), headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert other.json()["task_id"] == first.json()["id"]
    assert admin.post("/tasks", recommend(visitor), headers=key).json()["id"] != first.json()["id"]


def test_the_same_key_at_once_names_one_task(visitor, connection):
    with ThreadPoolExecutor() as threads:
        asked = threads.map(lambda _: visitor.post("/tasks", recommend(visitor), headers={"Idempotency-Key": "k"}), range(8))
        answers = list(asked)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_the_same_key_names_a_task_that_has_ended_too(visitor):
    key = {"Idempotency-Key": "order-1"}
    task_id = visitor.post("/tasks", recommend(visitor), headers=key).json()["id"]
    visitor.post(f"/tasks/{task_id}/cancel")
    again = visitor.post("/tasks", recommend(visitor), headers=key).json()
    assert (again["id"], again["state"]) == (task_id, "cancelled")


@pytest.mark.parametrize("key", ["", "x" * 201, "with space", "tab\t"])
def test_a_key_that_cannot_be_one_is_refused(visitor, complaint, key):
    refused = visitor.post("/tasks", recommend(visitor), headers={"Idempotency-Key": key})
    assert list(complaint(refused)) == ["Idempotency-Key"]


def test_an_exclusive_kind_names_its_active_task(admin):
    first = admin.post("/tasks", TRAIN)
    assert first.status_code == 202, first.text
    second = admin.post("/tasks", {"kind": "train", "payload": {}})
    assert (second.status_code, second.json()["type"]) == (409, "/problems/task-already-active")
    assert second.json()["task_id"] == first.json()["id"]


def test_equal_requests_for_a_list_share_a_queued_task(visitor, service):
    first = visitor.post("/tasks", recommend(visitor)).json()["id"]
    assert service.post("/tasks", recommend(visitor)).json()["id"] == first


def test_only_the_admin_trains_and_visitors_ask_for_themselves(visitor, service, admin):
    for person in (visitor, service):
        assert person.post("/tasks", TRAIN).status_code == 403
        assert person.post("/tasks", {"kind": "refresh_lists", "payload": {}}).status_code == 403
    assert admin.post("/tasks", {"kind": "refresh_lists", "payload": {}}).status_code == 202
    assert visitor.post("/tasks", recommend(admin)).status_code == 403
    assert service.post("/tasks", recommend(admin)).status_code == 202


def test_a_list_for_nobody_is_not_accepted(service):
    missing = service.post("/tasks", {"kind": "recommend", "payload": {"user_id": "nobody"}})
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/user-not-found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "recommend"}, "payload"),
        ({"kind": "recommend", "payload": None}, "payload"),
        ({"kind": "recommend", "payload": {}}, "payload.user_id"),
        ({"kind": "recommend", "payload": {"user_id": 7}}, "payload.user_id"),
        ({"kind": "recommend", "payload": {"user_id": "\x00"}}, "payload.user_id"),
        ({"kind": "recommend", "payload": {"user_id": "1", "count": 5}}, "payload.count"),
        ({"kind": "train", "payload": {"refresh_lists": "yes"}}, "payload.refresh_lists"),
        ({"kind": "train", "payload": {"algorithms": []}}, "payload.algorithms"),
        ({"kind": "train", "payload": {"scope": "partial", "algorithms": ["als", "popular"]}}, "payload.algorithms"),
        ({"kind": "train", "payload": {"algorithms": ["DROP TABLE"]}}, "payload.algorithms.0"),
        ({**TRAIN, "deadline_seconds": 0}, "deadline_seconds"),
        ({**TRAIN, "deadline_seconds": 86_401}, "deadline_seconds"),
        ({**TRAIN, "deadline_seconds": "60"}, "deadline_seconds"),
        ({**TRAIN, "priority": 9}, "priority"),
        ({"payload": {}}, "kind"),
        ({"kind": 3, "payload": {}}, "kind"),
    ],
)
def test_a_wrong_field_is_named(admin, complaint, body, field):
    assert next(iter(complaint(admin.post("/tasks", body)))) == field


@pytest.mark.parametrize("kind", ["dance", "refresh_shard", "", "\x00"])
def test_an_unknown_kind_lists_the_known_ones(admin, complaint, kind):
    refused = admin.post("/tasks", {"kind": kind, "payload": {"shard": 0, "shard_count": 1}})
    assert complaint(refused) == {"kind": "must be one of count_items, recommend, recommend_many, refresh_lists, train"}


def test_unknown_tasks_and_those_of_others_are_not_found(visitor, admin, sign_up):
    task_id = admin.post("/tasks", TRAIN).json()["id"]
    for missing in (task_id, uuid.uuid4()):
        answer = visitor.get(f"/tasks/{missing}")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/task-not-found")
        assert visitor.post(f"/tasks/{missing}/cancel").status_code == 404
    assert sign_up("service").get(f"/tasks/{task_id}").status_code == 200


def test_an_id_that_cannot_be_one_is_invalid(visitor, complaint):
    assert list(complaint(visitor.get("/tasks/7"))) == ["task_id"]
    assert list(complaint(visitor.post("/tasks/7/cancel"))) == ["task_id"]


def test_tasks_are_listed_newest_first_in_pages(visitor, admin):
    ids = [visitor.post("/tasks", recommend(visitor), headers={"Idempotency-Key": str(nth)}).json()["id"] for nth in range(5)]
    admin.post("/tasks", TRAIN)
    first = visitor.get("/tasks", params={"limit": 3}).json()
    rest = visitor.get("/tasks", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [task["id"] for task in first["data"] + rest["data"]] == ids[::-1]
    assert rest["next_cursor"] is None


def test_tasks_are_filtered(visitor, service, admin):
    trained = admin.post("/tasks", TRAIN).json()["id"]
    asked = visitor.post("/tasks", recommend(visitor)).json()["id"]
    visitor.post(f"/tasks/{asked}/cancel")

    def found(person, **params):
        return [task["id"] for task in person.get("/tasks", params=params).json()["data"]]

    assert found(service) == [asked, trained]
    assert found(service, state="queued") == [trained]
    assert found(service, kind="recommend") == [asked]
    assert found(service, owner=str(admin.account_id)) == [trained]
    assert found(visitor, owner=str(visitor.account_id)) == [asked]
    assert visitor.get("/tasks", params={"owner": str(admin.account_id)}).status_code == 403


def test_filters_take_several_values_a_parent_and_a_span_of_time(visitor, admin, connection):
    trained = admin.post("/tasks", TRAIN).json()
    asked = visitor.post("/tasks", recommend(visitor)).json()
    visitor.post(f"/tasks/{asked['id']}/cancel")
    connection.execute("UPDATE tasks SET parent_id = %s WHERE id = %s", (trained["id"], asked["id"]))

    def found(**params):
        return [task["id"] for task in admin.get("/tasks", params=params).json()["data"]]

    assert found(state=["queued", "cancelled"]) == [asked["id"], trained["id"]]
    assert found(kind=["train", "refresh_lists"]) == [trained["id"]]
    assert found(parent_id=trained["id"]) == [asked["id"]]
    assert found(created_after=asked["created_at"]) == [asked["id"]]
    assert found(created_before=asked["created_at"]) == [trained["id"]]
    assert found(created_after=trained["created_at"], created_before=asked["created_at"], state="dead") == []


def fail(connection, **ending):
    claims.fail(claim(connection), code="boom", message="it broke", **{"is_permanent": True, **ending}).run(connection)


def test_a_failed_task_is_requeued_once_and_the_audit_tells_who_asked(visitor, admin, connection):
    task_id = visitor.post("/tasks", recommend(visitor, deadline_seconds=60)).json()["id"]
    fail(connection)
    answer = admin.post(f"/tasks/{task_id}/requeue", headers={"X-Correlation-ID": "second-chance"})
    assert answer.status_code == 202, answer.text
    task = answer.json()
    assert (task["state"], task["attempt"], task["requeue_count"], task["deadline_at"], task["finished_at"]) == ("queued", 0, 1, None, None)

    again = admin.post(f"/tasks/{task_id}/requeue")
    assert (again.status_code, again.json()["type"]) == (409, "/problems/task-not-requeueable")
    (entry,) = admin.get("/audit").json()["data"]
    assert (entry["actor"], entry["action"], entry["subject"]) == (str(admin.account_id), "task.requeue", f"task:{task_id}")
    assert entry["details"] == {"kind": "recommend", "state": "failed", "attempt": 1, "error": "boom"}
    assert entry["correlation_id"] == "second-chance"
    assert claim(connection).attempt == 1


def test_requeueing_at_once_happens_once(visitor, admin, connection):
    task_id = visitor.post("/tasks", recommend(visitor)).json()["id"]
    fail(connection)
    with ThreadPoolExecutor() as threads:
        codes = list(threads.map(lambda _: admin.post(f"/tasks/{task_id}/requeue").status_code, range(4)))
    assert sorted(codes) == [202, 409, 409, 409]
    assert len(admin.get("/audit").json()["data"]) == 1


def test_only_an_admin_requeues_and_only_what_failed_or_died(visitor, service, admin):
    task_id = visitor.post("/tasks", recommend(visitor)).json()["id"]
    for person in (visitor, service):
        assert person.post(f"/tasks/{task_id}/requeue").status_code == 403
    assert admin.post(f"/tasks/{task_id}/requeue").status_code == 409
    assert admin.post(f"/tasks/{uuid.uuid4()}/requeue").status_code == 404
    assert admin.get("/audit").json()["data"] == []


def test_an_exclusive_task_is_not_requeued_beside_an_active_one(admin, connection):
    failed = admin.post("/tasks", TRAIN).json()["id"]
    claims.fail(claim(connection, "train"), code="boom", message="", is_permanent=True).run(connection)
    active = admin.post("/tasks", TRAIN).json()["id"]
    refused = admin.post(f"/tasks/{failed}/requeue")
    assert (refused.status_code, refused.json()["type"], refused.json()["task_id"]) == (409, "/problems/task-already-active", active)


def test_a_wrong_parameter_is_named(visitor, complaint):
    for params in ({"owner": "\x00"}, {"limit": 0}, {"cursor": "WyJ4Il0"}, {"parent_id": "x"}, {"created_after": "0"}):
        assert list(complaint(visitor.get("/tasks", params=params))) == list(params)
    for params in ({"state": "lost"}, {"kind": "dance"}):  # lists: the place is named too
        assert list(complaint(visitor.get("/tasks", params=params))) == [f"{name}.0" for name in params]
    assert list(complaint(visitor.get(f"/tasks/{uuid.uuid4()}", params={"wait": 31}))) == ["wait"]
