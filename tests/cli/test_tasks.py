"""`marquee tasks` as people run it."""

import uuid

import pytest

from core import claims, tasks
from core.messages import RecommendPayload, TrainPayload


@pytest.fixture
def marquee(run_marquee, database_url):
    """Runs `marquee tasks …` on the test's database."""
    return lambda *arguments, url=database_url: run_marquee("tasks", *arguments, DATABASE_URL=url)


def submit(connection, user_id="1", **options):
    return tasks.submit(RecommendPayload(user_id=user_id), owner="alice", **options).run(connection).id


def fail(connection, *, is_permanent=True):
    (task,) = claims.claim_next("interactive", lease_owner="w:1", lease_seconds=30, limit=1).run(connection).tasks
    claims.fail(task, code="boom", message="it broke", is_permanent=is_permanent).run(connection)
    return task.id


def test_tasks_are_listed_newest_first_and_filtered(connection, marquee):
    failed = submit(connection, correlation_id="order-7")
    fail(connection)
    queued = submit(connection, "2")
    assert [line.split()[:3] for line in marquee("list").out.splitlines()[1:]] == [
        [str(queued), "recommend", "queued"],
        [str(failed), "recommend", "failed"],
    ]
    for filters in (("--state", "failed"), ("--correlation-id", "order-7")):
        (line,) = marquee("list", *filters).out.splitlines()[1:]
        assert line.split()[0] == str(failed)
        assert line.split()[-1] == "boom"
    assert marquee("list", "--kind", "train").out == "No tasks.\n"
    assert marquee("list", "--owner", "alice", "--limit", 1).out.count("recommend") == 1
    refused = marquee("list", "--state", "lost")
    assert (refused.code, refused.err[:39]) == (2, "marquee: no state is called lost; there")


def test_a_task_is_shown_with_the_story_of_its_attempts(connection, marquee):
    task_id = submit(connection, correlation_id="order-7")
    for _ in range(3):
        fail(connection, is_permanent=False)
    told = marquee("show", task_id).out
    assert "dead" in told
    assert "order-7" in told
    assert [line.split()[0] for line in told.splitlines() if line.rstrip().endswith("it broke")] == ["1", "2", "3"]
    missing = marquee("show", uuid.uuid4())
    assert missing.code == 1
    assert missing.err.startswith("marquee: there is no task ")


def test_queued_and_running_tasks_are_cancelled_and_ended_ones_refused(connection, marquee):
    running = submit(connection)
    claims.claim_next("interactive", lease_owner="w:1", lease_seconds=30, limit=1).run(connection)
    queued = submit(connection, "2")
    done = marquee("cancel", running, queued)
    assert done.out == f"{running} is running and was asked to stop.\n{queued} is cancelled.\n"
    assert marquee("cancel", queued).err == f"marquee: task {queued} has ended already: it is cancelled\n"


def test_requeueing_is_remembered_with_who_did_it(connection, marquee, monkeypatch):
    monkeypatch.setenv("LOGNAME", "operator")
    task_id = submit(connection)
    fail(connection)
    assert marquee("requeue", task_id).out == f"{task_id} is queued again.\n"
    entry = connection.execute("SELECT actor, action, details FROM audit_entries").fetchone()
    assert entry == ("cli:operator", "task.requeue", {"kind": "recommend", "state": "failed", "attempt": 1, "error": "boom"})
    assert "task.requeue by cli:operator" in marquee("show", task_id).out
    refused = marquee("requeue", task_id)
    assert (refused.code, refused.err) == (1, f"marquee: only dead and failed tasks can be requeued; task {task_id} is queued\n")
    assert connection.execute("SELECT count(*) FROM audit_entries").fetchone() == (1,)


def test_an_exclusive_task_is_not_requeued_beside_an_active_one(connection, marquee):
    failed = tasks.submit(TrainPayload(), owner="alice").run(connection).id
    (task,) = claims.claim_next("train", lease_owner="w:1", lease_seconds=30, limit=1).run(connection).tasks
    claims.fail(task, code="boom", message="", is_permanent=True).run(connection)
    tasks.submit(TrainPayload(), owner="alice").run(connection)
    refused = marquee("requeue", failed)
    assert (refused.code, refused.err[:38]) == (1, "marquee: another train task is active;")


def test_a_census_of_what_is_well(connection, marquee):
    assert marquee("census").code == 0
    submit(connection, "dead")
    for _ in range(3):
        dead = fail(connection, is_permanent=False)
    running = submit(connection, "running")
    claims.claim_next("interactive", lease_owner="w:1", lease_seconds=30, limit=1).run(connection)
    submit(connection, "queued")
    taken = marquee("census")
    assert taken.code == 0, taken.err
    lines = [line.split() for line in taken.out.splitlines()]
    assert ["recommend", "1", "1", "1"] in lines
    assert any(line[:2] == [str(running), "recommend"] for line in lines)
    assert any(line[:5] == ["dead", "recommend", "boom", "1", str(dead)] for line in lines)
    assert "interactive: 1 due, the oldest for" in taken.out
    assert "✗" not in taken.out


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ("state = 'running', fence = 1, attempt = 1, lease_owner = 'w', lease_until = now() - interval '1 hour'", "no lease has lapsed"),
        ("deadline_at = now() - interval '1 hour'", "past its deadline"),
        ("attempt = max_attempts", "no attempts left"),
    ],
)
def test_what_must_never_be_is_found(connection, marquee, change, check):
    submit(connection)
    connection.execute(f"UPDATE tasks SET {change}")
    taken = marquee("census")
    assert taken.code == 1
    (line,) = [line for line in taken.out.splitlines() if line.startswith("✗")]
    assert check in line
    assert line.endswith(": 1 do not hold")


def test_a_database_without_tables_or_without_an_answer_is_told(marquee, postgres):
    assert marquee("census", url=postgres.url("postgres")).err.startswith("marquee: the database has no tables of Marquee yet")
    assert marquee("list", url="postgresql://nobody@127.0.0.1:1/none").err.startswith("marquee: the database (DATABASE_URL) cannot be")
