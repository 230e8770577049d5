"""`marquee schedules` as people run it."""

import pytest

from core import claims, tasks
from core.messages import TrainPayload


@pytest.fixture
def marquee(run_marquee, database_url):
    """Runs `marquee schedules …` on the test's database, in the zone of Kathmandu."""
    settings = {"DATABASE_URL": database_url, "SCHEDULE_TIMEZONE": "Asia/Kathmandu", "LOGNAME": "operator"}
    return lambda *arguments: run_marquee("schedules", *arguments, **settings)


def test_they_are_listed_with_what_became_of_them(connection, marquee):
    connection.execute(
        "UPDATE schedules SET last_fired_at = '2026-11-20T18:15:00Z', last_due_at = '2026-11-20T18:15:00Z', last_outcome = 'submitted'"
        " WHERE name = 'full-training'"
    )
    lines = [line.split() for line in marquee("list").out.splitlines()]
    assert [line[:2] for line in lines[1:]] == [
        ["count-items", "count_items"],
        ["full-training", "train"],
        ["partial-training", "train"],
        ["refresh-all-lists", "refresh_lists"],
    ]
    assert lines[2][-5:] == ["Asia/Kathmandu", "off", "2026-11-21", "00:00:00+05:45", "submitted"]
    task_id = tasks.submit(TrainPayload(algorithms=("zzz",)), owner="schedule").run(connection).id
    connection.execute("UPDATE schedules SET last_task_id = %s WHERE name = 'full-training'", (task_id,))
    assert marquee("list").out.splitlines()[2].rstrip().endswith("submitted, queued")
    (claimed,) = claims.claim_next("train", lease_owner="test", lease_seconds=30, limit=1).run(connection).tasks
    claims.fail(claimed, code="unknown_algorithm", message="no algorithm is named 'zzz'", is_permanent=True).run(connection)
    assert marquee("list").out.splitlines()[2].rstrip().endswith("submitted, failed: no algorithm is named 'zzz'")
    assert "failed: no algorithm is named 'zzz'" in marquee("show", "full-training").out
    connection.execute("DELETE FROM tasks")
    assert marquee("list").out.splitlines()[2].rstrip().endswith("submitted")
    connection.execute("DELETE FROM schedules")
    assert marquee("list").out == "No schedules.\n"


def test_one_is_changed_switched_and_shown_with_who_did_it(connection, marquee):
    set_at = marquee("set", "full-training", "--cron", "30 4 * * *", "--payload", '{"algorithms": ["popular"]}')
    assert (set_at.code, set_at.out) == (0, "full-training is off.\n")
    assert "04:30:00+05:45" in marquee("enable", "full-training").out
    assert "04:30:00+00:00" in marquee("set", "full-training", "--timezone", "UTC").out
    told = marquee("show", "full-training", "--count", 2).out
    assert '{"algorithms": ["popular"]}' in told
    assert told.count("04:30:00+00:00") == 2
    assert told.count("schedule.update by cli:operator") == 3
    assert "04:30:00+05:45" in marquee("set", "full-training", "--timezone", "default").out
    assert marquee("disable", "full-training").out == "full-training is off.\n"
    assert connection.execute("SELECT next_fire_at, timezone FROM schedules WHERE name = 'full-training'").fetchone() == (None, None)


def test_one_is_run_now_unless_the_kind_is_active(connection, marquee):
    started = marquee("run", "full-training")
    ((task_id, owner),) = connection.execute("SELECT id, owner FROM tasks").fetchall()
    assert (started.out, owner) == (f"Task {task_id} is queued.\n", "cli:operator")
    refused = marquee("run", "full-training")
    assert (refused.code, refused.err) == (1, f"marquee: a train task has not ended yet: {task_id}\n")


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("set", "full-training"), 2, "say what to change: --cron, --timezone or --payload"),
        (("set", "full-training", "--cron", "0 25 * * *"), 2, "the cron expression: the field hour is '25'; allowed are 0 to 23"),
        (("set", "full-training", "--timezone", "Mars"), 2, "'Mars' is no time zone"),
        (("set", "full-training", "--payload", "{"), 2, "--payload is not valid JSON"),
        (("set", "full-training", "--payload", "[]"), 2, "--payload must be a JSON object"),
        (("set", "full-training", "--payload", '{"scope": "half"}'), 2, "the payload is not one of a train task: scope: "),
        (("show", "weekly"), 1, "there is no schedule 'weekly'; there are count-items, full-training, partial-training, refresh-all-lists"),
        (("preview", "* * * *"), 2, "the cron expression: needs the five fields"),
    ],
)
def test_what_is_wrong_is_one_sentence(marquee, arguments, code, complaint):
    told = marquee(*arguments)
    assert told.code == code
    assert told.err.startswith(f"marquee: {complaint}")


def test_an_expression_is_previewed(marquee):
    lines = marquee("preview", "0 7 * * *", "--timezone", "Europe/Berlin", "--count", 3).out.splitlines()
    assert [line.split()[1][:8] for line in lines] == ["07:00:00"] * 3
    assert marquee("preview", "0 7 * * *", "--count", 1).out.strip().endswith("07:00:00+05:45")
