"""Following a task as server-sent events, over real connections."""

import json
import socket
import threading
import time
import uuid
from contextlib import closing, contextmanager

import httpx2
import pytest
import uvicorn

from app.main import Server, create_app
from core import claims

SECONDS = 20


@contextmanager
def serving(app):
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1", server
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture
def url(settings):
    with serving(create_app(settings)) as (url, _):
        yield url


@contextmanager
def followed(url, person, task_id, last_event_id=None):
    """The answer and its events, `(name, id, data)`; a comment has no name."""
    headers = {**person.headers, **({"Last-Event-ID": str(last_event_id)} if last_event_id is not None else {})}
    with (
        httpx2.Client(timeout=SECONDS) as client,
        client.stream("GET", f"{url}/tasks/{task_id}/events", headers=headers) as answer,
        closing(parsed(answer)) as events,
    ):
        yield answer, events


def parsed(answer):
    told = {}
    for line in answer.iter_lines():
        if line.startswith(":"):
            yield None, None, line
        elif line:
            name, _, value = line.partition(": ")
            told[name] = value
        elif told:
            yield told["event"], int(told["id"]), json.loads(told["data"])
            told = {}


@pytest.fixture
def task_id(visitor):
    return visitor.post("/tasks", {"kind": "recommend", "payload": {"user_id": visitor.user_id}}).json()["id"]


def claim(connection):
    (claimed,) = claims.claim_next("interactive", lease_owner="test", lease_seconds=30, limit=1).run(connection).tasks
    return claimed


def report(connection, claimed, done, note):
    claims.renew([claims.Progress(claimed, done, note)], lease_seconds=30).run(connection)


def finish(connection, claimed):
    with connection.transaction():
        claims.complete([claims.Outcome(claimed, {"count": 20})]).run(connection)


def test_a_task_is_followed_from_its_state_to_its_end(url, visitor, connection, task_id):
    with followed(url, visitor, task_id) as (answer, events):
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
        seen = [next(events)]
        claimed = claim(connection)
        seen.append(next(events))
        report(connection, claimed, 0.5, "half")
        seen.append(next(events))
        began = time.monotonic()
        finish(connection, claimed)
        seen.append(next(events))
        assert time.monotonic() - began < 0.9, "notified, not found at the next look"
        assert list(events) == [], "and the stream has ended"
    names, ids, told = zip(*seen, strict=True)
    assert names == ("progress", "progress", "progress", "finished")
    assert ids == (0, 1, 2, 3)
    assert [(data["state"], data["progress"], data["progress_note"]) for data in told] == [
        ("queued", 0, None),
        ("running", 0, None),
        ("running", 0.5, "half"),
        ("succeeded", 1, None),
    ]
    assert told[-1] == visitor.get(f"/tasks/{task_id}").json()


def test_another_process_goes_on_after_the_last_event_that_was_seen(url, settings, visitor, connection, task_id):
    claimed = claim(connection)
    with followed(url, visitor, task_id) as (_, events):
        _, last_id, _ = next(events)
    with serving(create_app(settings)) as (other, _):
        with followed(other, visitor, task_id, last_id) as (_, events):
            assert next(events)[0] is None, "a comment: nothing has changed"
            report(connection, claimed, 0.25, "on it")
            name, next_id, data = next(events)
            assert (name, data["progress_note"]) == ("progress", "on it")
            assert next_id > last_id
        finish(connection, claimed)
        with followed(other, visitor, task_id, next_id) as (_, events):
            ((name, end_id, data),) = events
            assert (name, data["state"]) == ("finished", "succeeded")
        with followed(other, visitor, task_id, end_id) as (answer, _):
            assert answer.status_code == 204, "which tells a browser not to come back"


def test_a_requeued_task_is_followed_on(url, visitor, admin, connection, task_id):
    claims.fail(claim(connection), code="boom", message="", is_permanent=True).run(connection)
    with followed(url, visitor, task_id) as (_, events):
        ((name, last_id, _),) = events
        assert name == "finished"
    admin.post(f"/tasks/{task_id}/requeue")
    with followed(url, visitor, task_id, last_id) as (_, events):
        name, next_id, data = next(events)
        assert (name, data["state"]) == ("progress", "queued")
        assert next_id > last_id


def test_a_quiet_stream_is_kept_alive(settings, visitor, task_id):
    app = create_app(settings)
    with serving(app) as (url, _):
        app.state.services.changes._quiet_seconds = 0.1
        with followed(url, visitor, task_id) as (_, events):
            assert [next(events)[0] for _ in range(3)] == ["progress", None, None]


def test_the_end_of_the_server_ends_its_streams(settings, visitor, task_id):
    with serving(create_app(settings)) as (url, server), followed(url, visitor, task_id) as (_, events):
        next(events)
        began = time.monotonic()
        server.should_exit = True
        assert list(events) == []
        assert time.monotonic() - began < 2


def test_a_client_that_leaves_is_no_longer_looked_at_for(settings, visitor, task_id):
    app = create_app(settings)
    with serving(app) as (url, _):
        with followed(url, visitor, task_id) as (_, first), followed(url, visitor, task_id) as (_, second):
            next(first), next(second)
            changes = app.state.services.changes
            assert [len(followed.followers) for followed in changes._followed.values()] == [2]
        deadline = time.monotonic() + 5
        while changes._followed:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_what_may_not_be_seen_may_not_be_followed(visitor, sign_up, complaint, task_id):
    other = sign_up()
    assert other.get(f"/tasks/{task_id}/events").status_code == 404
    assert visitor.get(f"/tasks/{uuid.uuid4()}/events").status_code == 404
    assert visitor.client.get(f"/api/v1/tasks/{task_id}/events").status_code == 401
    visitor.headers["Last-Event-ID"] = "yesterday"
    told = complaint(visitor.get(f"/tasks/{task_id}/events"))
    assert told == {"Last-Event-ID": "is the id of no event; send the last `id` that was received, or none"}
