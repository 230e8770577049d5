"""Schedules over HTTP: looked at, changed, run now, by administrators only."""

from datetime import datetime, timedelta

import pytest

from core import tasks
from core.messages import TrainPayload

REPORT = {"name": "report", "kind": "recommend_many", "payload": {"user_ids": ["1"]}, "cron": "0 6 * * MON"}


def deeds(connection, name):
    return connection.execute("SELECT action, details FROM audit_entries WHERE subject = %s ORDER BY id", (f"schedule:{name}",)).fetchall()


def test_only_administrators_see_and_touch_them(visitor, service):
    for person in (visitor, service):
        answers = [
            person.get("/schedules"),
            person.get("/schedules/full-training"),
            person.post("/schedules", REPORT),
            person.patch("/schedules/full-training", {"is_enabled": True}),
            person.delete("/schedules/full-training"),
            person.post("/schedules/full-training/run"),
            person.post("/schedules/preview", {"cron": "* * * * *"}),
        ]
        assert {answer.status_code for answer in answers} == {403}


def test_the_first_four_are_there(admin):
    found = {row["name"]: (row["kind"], row["payload"], row["cron"], row["timezone"]) for row in admin.get("/schedules").json()["data"]}
    assert found == {
        "full-training": ("train", {"scope": "full", "algorithms": ["default"]}, "0 0 * * *", None),
        "partial-training": ("train", {"scope": "partial"}, "*/15 * * * *", None),
        "refresh-all-lists": ("refresh_lists", {}, "30 0 * * *", None),
        "count-items": ("count_items", {}, "*/10 * * * *", None),
    }


def test_one_is_made_changed_and_removed_and_all_of_it_is_remembered(admin, connection):
    made = admin.post("/schedules", {**REPORT, "timezone": "Europe/Berlin"})
    assert made.status_code == 201
    assert made.headers["location"] == "/api/v1/schedules/report"
    shown = admin.get("/schedules/report").json()
    assert made.json() == shown
    assert shown["next_fire_at"] == shown["upcoming"][0]
    weeks = {later - first for first, later in zip(times(shown), times(shown)[1:], strict=False)}
    assert weeks <= {timedelta(days=7), timedelta(days=7, hours=1), timedelta(days=6, hours=23)}

    changed = admin.patch("/schedules/report", {"cron": "*/5 * * * *", "timezone": None}).json()
    assert (changed["cron"], changed["timezone"], changed["payload"]) == ("*/5 * * * *", None, REPORT["payload"])
    assert times(changed)[1] - times(changed)[0] == timedelta(minutes=5)
    off = admin.patch("/schedules/report", {"is_enabled": False}).json()
    assert (off["is_enabled"], off["next_fire_at"], len(off["upcoming"])) == (False, None, 5)

    assert admin.delete("/schedules/report").status_code == 204
    assert admin.get("/schedules/report").json()["type"] == "/problems/schedule-not-found"
    assert [action for action, _ in deeds(connection, "report")] == [
        "schedule.create", "schedule.update", "schedule.update", "schedule.delete",
    ]  # fmt: skip
    assert deeds(connection, "report")[1][1] == {
        "before": {"cron": "0 6 * * MON", "timezone": "Europe/Berlin"},
        "after": {"cron": "*/5 * * * *", "timezone": None},
    }


def times(schedule):
    return [datetime.fromisoformat(moment) for moment in schedule["upcoming"]]


def test_a_name_is_taken_once(admin):
    assert admin.post("/schedules", REPORT).status_code == 201
    assert admin.post("/schedules", REPORT).json()["type"] == "/problems/schedule-exists"


@pytest.mark.parametrize(
    ("wrong", "field", "message"),
    [
        ({"cron": "61 * * * *"}, "cron", "the field minute is '61'; allowed are 0 to 59"),
        ({"cron": "0 0 * *"}, "cron", "needs the five fields minute, hour, day-of-month, month, day-of-week"),
        ({"timezone": "Mars/Olympus"}, "timezone", "'Mars/Olympus' is no time zone"),
        ({"payload": {"user_ids": []}}, "payload.user_ids", "Tuple should have at least 1 item"),
        ({"payload": {"users": []}}, "payload.user_ids", "Field required"),
        ({"kind": "refresh_shard"}, "kind", "must be one of "),
        ({"name": "Weekly report"}, "name", "may have 63 lower-case letters, digits, _ and - at most"),
        ({"often": True}, "often", "is not a known field"),
    ],
)
def test_what_is_wrong_is_named(admin, complaint, wrong, field, message):
    assert complaint(admin.post("/schedules", {**REPORT, **wrong}))[field].startswith(message)
    if field.split(".")[0] in {"cron", "timezone", "payload"}:
        admin.post("/schedules", REPORT)
        assert complaint(admin.patch("/schedules/report", wrong))[field].startswith(message)


def test_running_one_now_leaves_its_time_alone_and_an_exclusive_kind_alone(admin, connection):
    before = admin.post("/schedules", {**REPORT, "is_enabled": False}).json()
    started = admin.post("/schedules/report/run")
    assert started.status_code == 202
    task = admin.get(started.headers["location"].removeprefix("/api/v1")).json()
    assert (task["id"], task["kind"], task["owner"]) == (started.json()["task_id"], "recommend_many", str(admin.account_id))
    assert admin.get("/schedules/report").json() | {"upcoming": 0} == before | {"upcoming": 0}
    assert deeds(connection, "report")[-1] == ("schedule.run", {"task_id": task["id"]})

    active = tasks.submit(TrainPayload(), owner="alice").run(connection).id
    refused = admin.post("/schedules/full-training/run")
    assert (refused.status_code, refused.json()["task_id"]) == (409, str(active))
    assert admin.post("/schedules/nothing/run").status_code == 404


def test_a_row_that_was_broken_by_hand_is_shown_and_can_be_mended(admin, connection, complaint):
    connection.execute("UPDATE schedules SET cron = 'whenever', payload = '{\"scope\": \"half\"}' WHERE name = 'full-training'")
    assert admin.get("/schedules/full-training").json()["upcoming"] == []
    assert "cron" in complaint(admin.patch("/schedules/full-training", {"is_enabled": True}))
    assert "payload" in complaint(admin.post("/schedules/full-training/run"))
    mended = {"cron": "0 0 * * *", "payload": {"scope": "full"}, "is_enabled": True}
    assert admin.patch("/schedules/full-training", mended).json()["next_fire_at"] is not None


def test_an_expression_is_previewed_in_its_zone(admin):
    seen = admin.post("/schedules/preview", {"cron": "30 4 * * *", "timezone": "Asia/Kathmandu", "count": 2}).json()
    assert seen["timezone"] == "Asia/Kathmandu"
    assert [time["local"][10:] for time in seen["times"]] == ["T04:30:00+05:45"] * 2
    assert [datetime.fromisoformat(time["local"]) for time in seen["times"]] == [
        datetime.fromisoformat(time["at"]) for time in seen["times"]
    ]
    assert len(admin.post("/schedules/preview", {"cron": "* * * * *"}).json()["times"]) == 5
