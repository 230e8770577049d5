"""How many tasks an owner may have queued."""

import time
import uuid

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from core import claims
from tests.app.conftest import Person


@pytest.fixture
def capped(settings, sign_up):
    """A service whose API lets it queue three tasks."""
    person = sign_up("service", linked=False)
    with TestClient(create_app(settings.model_copy(update={"tasks_queued_per_owner": 3}))) as client:
        yield Person(client, person.account_id, None, person.headers)


@pytest.fixture
def users(connection):
    connection.execute("INSERT INTO users (id) SELECT 'q' || n FROM generate_series(0, 9) n")


def recommend(number, **more):
    return {"kind": "recommend", "payload": {"user_id": f"q{number}"}, **more}


def test_more_are_refused_until_some_are_done(capped, users, connection):
    assert [capped.post("/tasks", recommend(n)).status_code for n in range(3)] == [202, 202, 202]
    refused = capped.post("/tasks", recommend(3))
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-queued-tasks")
    assert int(refused.headers["retry-after"]) > 0
    assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (3,)
    claims.claim_next("interactive", lease_owner="test", lease_seconds=30, limit=1).run(connection)
    deadline = time.monotonic() + 10
    while capped.post("/tasks", recommend(3)).status_code != 202:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_adds_no_task_is_never_refused(capped, users):
    first = capped.post("/tasks", recommend(0), headers={"Idempotency-Key": "k"}).json()["id"]
    for n in range(1, 3):
        capped.post("/tasks", recommend(n))
    assert capped.post("/tasks", recommend(0), headers={"Idempotency-Key": "k"}).json()["id"] == first
    assert capped.post("/tasks", recommend(1)).status_code == 202, "it joins the queued one"


def test_a_batch_gets_as_many_as_there_is_room_for_first_come_first_served(capped, users):
    capped.post("/tasks", recommend(0), headers={"Idempotency-Key": "k"})
    rows = [recommend(0, idempotency_key="k"), recommend(9), recommend("-"), recommend(8, idempotency_key="a"), recommend(7), recommend(9)]
    told = capped.post("/tasks/batch", {"tasks": rows}).json()["data"]
    assert [row["status"] for row in told] == ["repeated", "created", "not_found", "created", "too_many", "coalesced"]
    assert told[4]["error"]["type"] == "/problems/too-many-queued-tasks"


def test_everybody_has_a_cap_of_their_own_and_an_admin_none(capped, admin, users):
    for n in range(3):
        capped.post("/tasks", recommend(n))
    theirs = Person(capped.client, admin.account_id, admin.user_id, admin.headers)
    keys = [{"Idempotency-Key": uuid.uuid4().hex} for _ in range(5)]
    assert {theirs.post("/tasks", recommend(9), headers=key).status_code for key in keys} == {202}
