"""What the process says of itself."""

import time

from starlette.testclient import TestClient

from app.main import create_app


def test_a_process_that_works_is_alive_and_ready(client):
    assert client.get("/livez").json() == {"status": "ok", "checks": {}}
    deadline = time.monotonic() + 10
    while (ready := client.get("/readyz")).json()["status"] != "ok":
        assert time.monotonic() < deadline, ready.text
    assert ready.status_code == 200
    assert ready.headers["cache-control"] == "no-store"
    assert ready.json()["checks"] == {"database": "ok", "dispatcher": "ok", "notifications": "ok"}


def test_missing_tables_are_named(client, connection):
    connection.execute("DROP TABLE recommendation_lists, schedules")
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "down")
    assert ready.json()["checks"]["database"] == "has no table recommendation_lists, schedules; run the migrations"


def test_an_app_that_leaves_dispatching_to_another_does_not_answer_for_it(settings):
    with TestClient(create_app(settings.model_copy(update={"dispatcher": False}))) as client:
        deadline = time.monotonic() + 10
        while (ready := client.get("/readyz")).json()["status"] != "ok":
            assert time.monotonic() < deadline, ready.text
        assert "dispatcher" not in ready.json()["checks"]
        assert "marquee_dispatcher_pass_age_seconds NaN\n" in client.get("/metrics").text
