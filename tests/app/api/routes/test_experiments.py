"""Experiments over HTTP, and who belongs to which arm."""

from collections import Counter

from core import experiments
from core.list_ids import Origin, new_list_id

MORE = {"name": "more-diverse", "arm_b": {"diversity": 0.3}}


def test_arms_are_for_good_and_shares_are_kept(admin, connection):
    assert admin.post("/experiments", {**MORE, "share_b": 0.2}).status_code == 201
    running = experiments.running().run(connection)
    arms = Counter(running.arm_of(f"u{n}") for n in range(5000))
    assert 850 < arms[1] < 1150
    assert (running.id, [n for n in range(30) if running.arm_of(f"u{n}")]) == (1, [2, 8, 10, 16, 18, 22, 23, 26]), (
        "in every process, for good"
    )
    assert (running.arms[0].diversity, running.arms[1].diversity) == (None, 0.3)


def test_one_experiment_runs_at_a_time_and_names_are_used_once(admin, visitor, connection):
    assert admin.post("/experiments", MORE).status_code == 201
    other = admin.post("/experiments", {"name": "other"}).json()
    assert other["type"] == "/problems/experiment-exists"
    assert other["detail"] == "The experiment 'more-diverse' is running; POST /experiments/more-diverse/end ends it."
    assert admin.post("/experiments/more-diverse/end").json()["ended_at"] is not None
    assert admin.post("/experiments/more-diverse/end").status_code == 404
    again = admin.post("/experiments", MORE)
    assert (again.status_code, again.json()["detail"]) == (409, "There was an experiment 'more-diverse' before: choose another name.")
    assert admin.post("/experiments", {"name": "other", "arm_a": {"model_version": 77}}).json()["type"] == "/problems/model-not-found"
    gone = "INSERT INTO model_versions (algorithm, artifact_bytes, training_seconds, status) VALUES ('als', 1, 1, 'retired') RETURNING id"
    (version,) = connection.execute(gone).fetchone()
    refused = admin.post("/experiments", {"name": "other", "arm_a": {"model_version": version}}).json()
    assert (refused["type"], "no longer kept" in refused["detail"]) == ("/problems/model-has-no-artifact", True)
    assert [row["name"] for row in admin.get("/experiments").json()["data"]] == ["more-diverse"]
    assert [row["action"] for row in admin.get("/audit").json()["data"]] == ["experiment.end", "experiment.start"]
    assert visitor.get("/experiments").status_code == 403


def test_all_lists_are_made_anew_at_the_start_and_at_the_end(admin, connection):
    asked = "SELECT owner, correlation_id FROM tasks WHERE kind = 'refresh_lists' ORDER BY created_at"
    begun = admin.post("/experiments", MORE)
    assert connection.execute(asked).fetchall() == [(str(admin.account_id), begun.headers["x-correlation-id"])]
    assert admin.post("/experiments/more-diverse/end").status_code == 200, "though that refresh has not ended"
    connection.execute("UPDATE tasks SET state = 'cancelled', finished_at = clock_timestamp()")
    admin.post("/experiments", {"name": "again"})
    connection.execute("UPDATE tasks SET state = 'cancelled', finished_at = clock_timestamp() WHERE state = 'queued'")
    admin.post("/experiments/again/end")
    assert len(connection.execute(asked).fetchall()) == 3


def test_what_the_arms_yield_comes_with_intervals(admin, service, connection, films):
    admin.post("/experiments", MORE)
    experiment = experiments.running().run(connection)
    connection.execute("INSERT INTO users (id) SELECT 'x' || n FROM generate_series(1, 200) n")
    told, clicked = [], []
    for number in range(1, 201):
        arm = number % 2
        list_id = str(new_list_id(Origin("personal", 0, experiment.id, arm)))
        entries = [{"list_id": list_id, "item_id": item_id, "user_id": f"x{number}"} for item_id in ("m1", "m2")]
        told += entries
        clicked += entries[:1] if arm and number % 4 == 1 else []
    assert service.post("/impressions", {"data": told}).json()["recorded_count"] == 400
    service.post("/clicks", {"data": clicked})
    outcome = admin.get("/experiments/more-diverse").json()
    a, b = outcome["arms"]
    assert (a["name"], a["users"], a["impressions"], a["click_through"]["value"]) == ("A", 100, 200, 0.0)
    assert (b["users"], b["click_through"]["value"]) == (100, 0.25)
    difference = outcome["click_through_difference"]
    assert difference["value"] == 0.25
    assert 0 < difference["low"] < 0.25 < difference["high"]
    assert admin.get("/experiments/none").status_code == 404
