"""A slot sees every batch through, whatever its handler, its database and its neighbours do."""

import threading
import uuid
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from core import tasks
from core.entries import Entries
from core.lists import ComputedList
from core.messages import RecommendPayload
from core.statement import Statement, nothing
from ml_worker.handlers.base import Answer, Context, Handler, Job, PermanentFailure, Product, Retry

NOW = Retry(base=0.0, cap=0.0)
NOTHING = Entries(b"", b"", b"", b"")


def submit(connection: Connection[Any], *user_ids: str) -> list[uuid.UUID]:
    return [tasks.submit(RecommendPayload(user_id=user_id), owner="alice").run(connection).id for user_id in user_ids]


def handlers(run: Any, *, max_batch: int = 32) -> dict[str, Handler[Any]]:
    return {"recommend": Handler(payload=RecommendPayload, run=run, max_batch=max_batch, retry=NOW)}


def each(answer: Any) -> Any:
    """A handler that answers every job by a function of its payload."""

    def run(jobs: Sequence[Job[RecommendPayload]], _context: Context) -> list[Answer]:
        return [answer(job) for job in jobs]

    return run


def made_list(user_id: str) -> ComputedList:
    return ComputedList(user_id=user_id, list_id=uuid.uuid4(), model_version_id=None, entries=NOTHING, is_cold=True, history_count=0)


def states(connection: Connection[Any]) -> dict[str, str]:
    return dict(connection.execute("SELECT payload ->> 'user_id', state FROM tasks").fetchall())


def error(connection: Connection[Any], task_id: uuid.UUID) -> dict[str, Any]:
    return connection.execute("SELECT error FROM tasks WHERE id = %s", (task_id,)).fetchone()[0]


def test_a_batch_is_claimed_run_and_completed_together(connection, make_slot):
    submit(connection, "a", "b", "c")
    batches: list[int] = []

    def run(jobs, _context):
        batches.append(len(jobs))
        return [Product({"user": job.payload.user_id}) for job in jobs]

    slot = make_slot(handlers=handlers(run))
    assert slot.work_once() is True
    assert slot.work_once() is False
    assert batches == [3]
    assert connection.execute("SELECT result ->> 'user', state FROM tasks ORDER BY 1").fetchall() == [
        ("a", "succeeded"),
        ("b", "succeeded"),
        ("c", "succeeded"),
    ]


def test_one_bad_task_does_not_take_its_neighbours_down(connection, make_slot):
    submit(connection, "good", "bad", "fine")

    def answer(job):
        if job.payload.user_id == "bad":
            raise ZeroDivisionError("inside information")
        return Product({})

    slot = make_slot(handlers=handlers(each(answer)))
    while slot.work_once():
        pass
    assert states(connection) == {"good": "succeeded", "bad": "dead", "fine": "succeeded"}
    story = connection.execute("SELECT error FROM tasks WHERE state = 'dead'").fetchone()[0]
    assert [entry["code"] for entry in story["attempts"]] == ["unexpected_error"] * 3
    assert "inside information" not in str(story)


def test_a_permanent_failure_says_why(connection, make_slot):
    (task_id,) = submit(connection, "a")
    make_slot(handlers=handlers(each(lambda _job: PermanentFailure("no_model", "train first")))).work_once()
    told = error(connection, task_id)
    assert (states(connection), told["code"], told["message"]) == ({"a": "failed"}, "no_model", "train first")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("kind = 'dance'", "no task kind is named 'dance'"),
        ("payload_version = 7", "recommend payload version 7 is not understood"),
        ('payload = \'{"user_id": "a", "usr": 1}\'', "payload.usr: Extra inputs are not permitted"),
    ],
)
def test_a_payload_that_is_not_understood_fails_with_the_reason(connection, make_slot, change, message):
    (task_id, _) = submit(connection, "a", "b")
    connection.execute(f"UPDATE tasks SET {change} WHERE id = %s", (task_id,))
    make_slot(handlers=handlers(each(lambda _job: Product({})))).work_once()
    told = error(connection, task_id)
    assert told["code"] == "payload_not_understood"
    assert message in told["message"]
    assert connection.execute("SELECT count(*) FROM tasks WHERE state = 'succeeded'").fetchone() == (1,)


def test_effects_of_a_lost_task_are_not_written_and_its_neighbours_are(connection, catalogue, make_slot, database_url):
    lost_id, _ = submit(connection, "u1", "u2")

    def run(jobs, _context):
        with psycopg.connect(database_url, autocommit=True) as thief:
            thief.execute("UPDATE tasks SET lease_until = now() - interval '1 s' WHERE id = %s", (lost_id,))
            tasks.reap().run(thief)
        return [Product({}, lists=(made_list(job.payload.user_id),)) for job in jobs]

    make_slot(handlers=handlers(run)).work_once()
    assert states(connection) == {"u1": "queued", "u2": "succeeded"}
    assert connection.execute("SELECT user_id FROM recommendation_lists").fetchall() == [("u2",)]


def test_a_failing_effect_rolls_back_the_state_with_it(connection, make_slot):
    submit(connection, "a")
    broken = Statement(
        "INSERT INTO interactions (user_id, item_id, type, value, occurred_at) VALUES ('?', '?', 'x', 1, now())", {}, nothing
    )
    slot = make_slot(handlers=handlers(each(lambda _job: Product({}, effects=(broken,)))))
    while slot.work_once():
        pass
    assert states(connection) == {"a": "dead"}


def test_the_same_user_twice_in_a_batch_is_stored_once(connection, catalogue, make_slot):
    for key in ("k1", "k2"):
        tasks.submit(RecommendPayload(user_id="u1"), owner="alice", idem_key=key).run(connection)
    make_slot(handlers=handlers(each(lambda job: Product({}, lists=(made_list(job.payload.user_id),))))).work_once()
    assert connection.execute("SELECT state, count(*) FROM tasks GROUP BY state").fetchall() == [("succeeded", 2)]


def test_cancellation_reaches_the_work_through_its_progress(connection, make_slot, leases):
    (task_id,) = submit(connection, "a")
    renewing = threading.Event()

    def run(jobs, context):
        tasks.request_cancel(task_id).run(connection)
        keeper.start()
        for step in range(1000):
            context.progress(step / 1000, f"step {step}")
            renewing.wait(0.01)
        raise AssertionError("nobody stopped the work")

    keeper = threading.Thread(target=leases.keep, args=(renewing,))
    make_slot(handlers=handlers(run)).work_once()
    renewing.set()
    keeper.join()
    assert states(connection) == {"a": "cancelled"}
    assert connection.execute("SELECT progress > 0, progress_note LIKE 'step %%' FROM tasks").fetchone() == (True, True)


def test_work_handed_back_keeps_its_attempts(connection, make_slot):
    submit(connection, "a")
    hand_back = threading.Event()

    def run(jobs, context):
        hand_back.set()
        context.progress(0.1)
        raise AssertionError("nobody stopped the work")

    make_slot(handlers=handlers(run), hand_back=hand_back).work_once()
    assert connection.execute("SELECT state, attempt FROM tasks").fetchone() == ("queued", 0)


def test_a_slot_survives_the_loss_of_its_database_connections(connection, make_slot):
    stopping = threading.Event()
    slot = make_slot(handlers=handlers(each(lambda _job: Product({}))))
    thread = threading.Thread(target=slot.run, args=(stopping,))
    thread.start()
    try:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        submit(connection, "a")
        for _ in range(500):
            if states(connection) == {"a": "succeeded"}:
                break
            stopping.wait(0.02)
    finally:
        stopping.set()
        thread.join()
    assert states(connection) == {"a": "succeeded"}


def test_a_slot_outlives_what_nobody_foresaw(connection, make_slot):
    stopping, known = threading.Event(), dict[str, Handler[Any]]()
    slot = make_slot(handlers=known)
    submit(connection, "a")
    thread = threading.Thread(target=slot.run, args=(stopping,))
    thread.start()
    try:
        for _ in range(500):
            if states(connection) == {"a": "running"}:  # and the kind has no handler
                known.update(handlers(each(lambda _job: Product({}))))
                submit(connection, "b")
            if states(connection).get("b") == "succeeded":
                break
            stopping.wait(0.02)
    finally:
        stopping.set()
        thread.join()
    assert states(connection)["b"] == "succeeded"
