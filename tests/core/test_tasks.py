"""The life of a task, statement by statement, on a real server."""

import threading
import uuid
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from core import claims, tasks
from core.messages import RecommendPayload, TrainPayload
from core.requeueing import Requeueing, requeue

WORKER = {"lease_owner": "worker-1", "lease_seconds": 30.0}


def submit(connection: Connection[Any], user_id: str = "42", **options: Any) -> uuid.UUID:
    submitted = tasks.submit(RecommendPayload(user_id=user_id), owner="alice", **options).run(connection)
    assert submitted is not None
    return submitted.id


def claim_one(connection: Connection[Any]) -> claims.Claimed:
    (claimed,) = claims.claim_next("interactive", limit=1, **WORKER).run(connection).tasks
    return claimed


def row(connection: Connection[Any], task_id: uuid.UUID) -> dict[str, Any]:
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        found = cursor.execute("SELECT * FROM tasks WHERE id = %s", (task_id,)).fetchone()
    assert found is not None
    return found


def lapse_leases(connection: Connection[Any]) -> None:
    connection.execute("UPDATE tasks SET lease_until = clock_timestamp() - interval '1 second' WHERE state = 'running'")


def test_a_submitted_task_is_claimed_run_and_completed_once(connection):
    task_id = submit(connection)
    claimed = claim_one(connection)
    assert (claimed.id, claimed.kind, claimed.payload, claimed.attempt, claimed.fence) == (task_id, "recommend", {"user_id": "42"}, 1, 1)
    assert claims.claim_next("interactive", limit=10, **WORKER).run(connection).tasks == []

    outcome = claims.Outcome(claimed, {"count": 10})
    assert claims.complete([outcome]).run(connection) == {task_id}
    assert claims.complete([outcome]).run(connection) == set()
    done = row(connection, task_id)
    assert (done["state"], done["result"], done["progress"]) == ("succeeded", {"count": 10}, 1.0)
    assert done["lease_owner"] is None
    assert done["finished_at"] >= done["started_at"]


def test_same_key_same_body_is_the_same_task_and_another_body_is_a_conflict(connection):
    payload = RecommendPayload(user_id="1")
    first = tasks.submit(payload, owner="alice", idem_key="k").run(connection)
    assert first.outcome == "created"
    assert tasks.submit(payload, owner="alice", idem_key="k").run(connection) is None
    assert tasks.find_twin(payload, owner="alice", idem_key="k").run(connection) == tasks.Submitted(first.id, "repeated")
    other = RecommendPayload(user_id="2")
    assert tasks.submit(other, owner="alice", idem_key="k").run(connection) is None
    assert tasks.find_twin(other, owner="alice", idem_key="k").run(connection) == tasks.Submitted(first.id, "conflicting")
    assert tasks.submit(payload, owner="bob", idem_key="k").run(connection).id != first.id


def test_a_queued_twin_is_reused_and_a_running_one_is_not(connection):
    first = submit(connection)
    again = tasks.submit(RecommendPayload(user_id="42"), owner="bob").run(connection)
    assert again == tasks.Submitted(first, "coalesced")
    claim_one(connection)
    assert tasks.submit(RecommendPayload(user_id="42"), owner="bob").run(connection).outcome == "created"


def test_a_twin_that_waits_for_its_retry_or_may_expire_is_not_reused(connection):
    submit(connection)
    claims.fail(claim_one(connection), code="boom", message="", is_permanent=False, delay_seconds=60).run(connection)
    expiring = submit(connection, deadline_seconds=60)
    assert tasks.submit(RecommendPayload(user_id="42"), owner="bob").run(connection).outcome == "created"
    assert row(connection, expiring)["state"] == "queued"


def test_a_claim_waits_for_whoever_coalesced_into_the_task(connection, database_url):
    """Otherwise the worker could read the data before what was just recorded is visible."""
    task_id = submit(connection)
    with psycopg.connect(database_url) as recorder:
        assert tasks.submit(RecommendPayload(user_id="42"), owner="bob").run(recorder).id == task_id
        assert claims.claim_next("interactive", limit=1, **WORKER).run(connection).tasks == []
    assert claim_one(connection).id == task_id


def test_an_exclusive_kind_has_one_active_task(connection):
    first = tasks.submit(TrainPayload(), owner="alice").run(connection)
    other = TrainPayload(algorithms=("popular",))
    assert tasks.submit(other, owner="bob").run(connection) is None
    assert tasks.find_twin(other, owner="bob").run(connection) == tasks.Submitted(first.id, "active")
    tasks.request_cancel(first.id).run(connection)
    assert tasks.submit(other, owner="bob").run(connection).outcome == "created"


def test_two_workers_never_share_a_task(database_url, connection):
    expected = {submit(connection, user_id=str(number)) for number in range(60)}
    seen: list[uuid.UUID] = []

    def work() -> None:
        with psycopg.connect(database_url, autocommit=True) as own:
            while claimed := claims.claim_next("interactive", limit=4, **WORKER).run(own).tasks:
                seen.extend(task.id for task in claimed)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == sorted(expected)


def test_claims_follow_priority_then_age(connection):
    old, urgent, young = submit(connection, "1"), submit(connection, "2", priority=5), submit(connection, "3")
    claimed = claims.claim_next("interactive", limit=3, **WORKER).run(connection).tasks
    assert [task.id for task in claimed] == [urgent, old, young]


def test_a_worker_that_lost_its_lease_writes_nothing(connection):
    task_id = submit(connection)
    lost = claim_one(connection)
    lapse_leases(connection)
    reaped = tasks.reap().run(connection)
    assert reaped.requeued == {task_id: "interactive"}
    again = claim_one(connection)
    assert (again.attempt, again.fence) == (2, 2)

    assert claims.renew([claims.Progress(lost)], lease_seconds=30).run(connection) == {}
    assert claims.complete([claims.Outcome(lost, {})]).run(connection) == set()
    assert claims.fail(lost, code="x", message="x", is_permanent=True).run(connection) is None
    assert claims.release([lost]).run(connection) == set()
    assert claims.finish_cancelled(lost).run(connection) is False
    assert row(connection, task_id)["state"] == "running"


def test_a_fence_given_again_serves_only_its_new_owner(connection):
    task_id = submit(connection)
    ours = claim_one(connection)
    # A server that crashed has forgotten a claim, whose fence then went to somebody else.
    theirs = replace(ours, lease_owner="before the crash")

    assert claims.renew([claims.Progress(theirs)], lease_seconds=30).run(connection) == {}
    assert claims.complete([claims.Outcome(theirs, {})]).run(connection) == set()
    assert claims.fail(theirs, code="x", message="x", is_permanent=True).run(connection) is None
    assert claims.release([theirs]).run(connection) == set()
    assert claims.finish_cancelled(theirs).run(connection) is False
    assert claims.complete([claims.Outcome(ours, {})]).run(connection) == {task_id}


def test_only_the_claim_itself_does_not_wait_for_the_disk(connection):
    connection.execute("SET synchronous_commit = on")  # a test's server has it off
    submit(connection)
    claim_one(connection)
    assert connection.execute("SHOW synchronous_commit").fetchone()[0] == "on"


def test_renewal_extends_the_lease_and_carries_progress_and_cancellation(connection):
    task_id = submit(connection)
    claimed = claim_one(connection)
    before = row(connection, task_id)["lease_until"]
    assert claims.renew([claims.Progress(claimed, 0.5, "half")], lease_seconds=60).run(connection) == {task_id: False}
    renewed = row(connection, task_id)
    assert renewed["lease_until"] > before
    assert (renewed["progress"], renewed["progress_note"]) == (0.5, "half")

    assert tasks.request_cancel(task_id).run(connection) == "running"
    assert claims.renew([claims.Progress(claimed)], lease_seconds=60).run(connection) == {task_id: True}
    assert claims.finish_cancelled(claimed).run(connection) is True
    assert row(connection, task_id)["state"] == "cancelled"


def test_a_queued_task_is_cancelled_at_once_and_an_ended_one_not_at_all(connection):
    task_id = submit(connection)
    assert tasks.request_cancel(task_id).run(connection) == "cancelled"
    assert tasks.request_cancel(task_id).run(connection) is None


def test_retries_wait_and_end_in_dead_with_the_story_of_every_attempt(connection):
    task_id = submit(connection)
    for attempt in range(1, 4):
        claimed = claim_one(connection)
        state = claims.fail(claimed, code="boom", message=f"try {attempt}", is_permanent=False, delay_seconds=0).run(connection)
        assert state == ("dead" if attempt == 3 else "queued")
    error = row(connection, task_id)["error"]
    assert error["message"] == "try 3"
    assert [(entry["attempt"], entry["message"]) for entry in error["attempts"]] == [(1, "try 1"), (2, "try 2"), (3, "try 3")]


def test_a_retry_is_not_claimed_before_its_delay(connection):
    submit(connection)
    claims.fail(claim_one(connection), code="boom", message="", is_permanent=False, delay_seconds=60).run(connection)
    assert claims.claim_next("interactive", limit=1, **WORKER).run(connection).tasks == []


def test_a_permanent_error_fails_at_once(connection):
    task_id = submit(connection)
    assert claims.fail(claim_one(connection), code="no_model", message="train first", is_permanent=True).run(connection) == "failed"
    assert row(connection, task_id)["error"]["code"] == "no_model"


def test_a_released_task_gets_its_attempt_back(connection):
    task_id = submit(connection)
    assert claims.release([claim_one(connection)]).run(connection) == {task_id}
    assert row(connection, task_id)["attempt"] == 0
    assert claim_one(connection).fence == 2


def test_a_task_whose_worker_died_is_claimed_alone(connection):
    poisonous = submit(connection, "1")
    claim_one(connection)
    lapse_leases(connection)
    tasks.reap().run(connection)
    others = {submit(connection, "2"), submit(connection, "3")}
    batches = [{task.id for task in claims.claim_next("interactive", limit=10, **WORKER).run(connection).tasks} for _ in range(2)]
    assert batches == [{poisonous}, others]


def test_reaping_expires_what_came_too_late_and_buries_what_ran_out_of_attempts(connection):
    late = submit(connection, "1", deadline_seconds=-1.0)
    doomed = submit(connection, "2")
    for _ in range(3):
        claimed = claims.claim_next("interactive", limit=1, **WORKER).run(connection).tasks
        assert [task.id for task in claimed] == [doomed]
        lapse_leases(connection)
        reaped = tasks.reap().run(connection)
    assert reaped.ended == {doomed: "dead"}
    assert row(connection, late)["state"] == "expired"
    assert row(connection, doomed)["error"]["code"] == "lease_expired"


def test_a_dead_task_is_requeued_with_all_its_attempts_and_stays_suspect(connection):
    task_id = submit(connection, deadline_seconds=3600)
    for _ in range(3):
        claim_one(connection)
        lapse_leases(connection)
        tasks.reap().run(connection)
    assert row(connection, task_id)["state"] == "dead"
    statement = requeue(task_id, actor="somebody")
    assert statement.run(connection) == Requeueing("recommend", "dead", None, is_done=True)
    assert statement.run(connection) == Requeueing("recommend", "queued", None, is_done=False)
    assert connection.execute("SELECT actor, action FROM audit_entries").fetchall() == [("somebody", "task.requeue")]
    assert requeue(uuid.uuid4(), actor="somebody").run(connection) is None
    again = row(connection, task_id)
    assert (again["state"], again["attempt"], again["requeue_count"], again["deadline_at"]) == ("queued", 0, 1, None)
    others = submit(connection, "2")
    assert claim_one(connection).id == task_id, "it killed its worker before, so it is claimed alone"
    assert claim_one(connection).id == others


def test_what_a_follower_sees_counts_up_and_a_renewal_that_tells_nothing_does_not(connection):
    task_id = submit(connection)
    claimed = claim_one(connection)
    seen = [row(connection, task_id)["revision"]]
    for done, note in ((0.5, "half"), (0.5, "half"), (0.5, "more than half"), (0.25, None)):
        claims.renew([claims.Progress(claimed, done, note)], lease_seconds=30).run(connection)
        seen.append(row(connection, task_id)["revision"])
    claims.complete([claims.Outcome(claimed, {})]).run(connection)
    seen.append(row(connection, task_id)["revision"])
    assert seen == [1, 2, 2, 3, 4, 5]


def test_what_ended_long_ago_is_forgotten_oldest_first_and_the_rest_stays(connection):
    for number in range(4):
        tasks.request_cancel(submit(connection, str(number))).run(connection)
    running, queued = submit(connection, "running"), submit(connection, "queued")
    claim_one(connection)
    connection.execute("UPDATE tasks SET created_at = created_at - interval '40 days'")
    assert tasks.forget(days=30).run(connection) == 0, "created long ago but ended just now"
    connection.execute("UPDATE tasks SET finished_at = finished_at - interval '40 days' WHERE payload ->> 'user_id' <> '3'")
    assert [tasks.forget(days=30, limit=2).run(connection) for _ in range(3)] == [2, 1, 0]
    assert row(connection, running)["state"] == "running"
    assert row(connection, queued)["state"] == "queued"


def test_submitting_and_finishing_notify(connection, database_url):
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("LISTEN marquee_bell")
        listener.execute("LISTEN marquee_finished")
        task_id = submit(connection)
        tasks.notify_finished([task_id]).run(connection)
        heard = [(n.channel, n.payload) for n in listener.notifies(timeout=5, stop_after=2)]
    assert heard == [("marquee_bell", "interactive"), ("marquee_finished", str(task_id))]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("state = 'queued', finished_at = NULL", "no way leads from succeeded to queued"),
        ("state = 'running', lease_owner = 'x', lease_until = now(), finished_at = NULL", "no way leads from succeeded to running"),
        ("fence = 0", "the fence may not go back"),
    ],
)
def test_the_database_refuses_illegal_changes(connection, change, complaint):
    task_id = submit(connection)
    claims.complete([claims.Outcome(claim_one(connection), {})]).run(connection)
    with pytest.raises(psycopg.errors.RaiseException, match=complaint):
        connection.execute(f"UPDATE tasks SET {change} WHERE id = %s", (task_id,))


def test_a_lease_and_the_running_state_go_together(connection):
    task_id = submit(connection)
    with pytest.raises(psycopg.errors.CheckViolation, match="lease"):
        connection.execute("UPDATE tasks SET state = 'running', fence = 1 WHERE id = %s", (task_id,))
