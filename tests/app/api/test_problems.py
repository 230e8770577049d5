"""Whatever goes wrong is told in one shape, and nothing internal with it."""

import json
import logging
import time

import psycopg
import pytest
from starlette.testclient import TestClient

SHAPE = {"type", "title", "status", "detail", "instance", "correlation_id"}


def problem(answer, status, slug):
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    told = answer.json()
    assert told.keys() >= SHAPE
    assert (told["type"], told["status"]) == (f"/problems/{slug}", status)
    assert told["correlation_id"] == answer.headers["x-correlation-id"]
    return told


def test_an_unknown_path_and_method_are_problems(client):
    told = problem(client.get("/api/v1/nothing/here"), 404, "not-found")
    assert told["instance"] == "/api/v1/nothing/here"
    refused = client.delete("/api/v1/auth/me")
    problem(refused, 405, "method-not-allowed")
    assert refused.headers["allow"] == "GET"
    problem(client.get("/static-offline-docs/nothing.js"), 404, "not-found")


@pytest.mark.parametrize(
    ("content", "content_type", "message"),
    [
        (b'{"email": ', "application/json", "is not valid JSON: Expecting value at character 10"),
        (b"", "application/json", "Field required"),
        (b"[]", "application/json", "Input should be a valid dictionary or object to extract fields from"),
        (b'"text"', "application/json", "Input should be a valid dictionary or object to extract fields from"),
        (b'{"email": "a@b.c"}', "text/plain", "Input should be a valid dictionary or object to extract fields from"),
        (b'{"email": "\xff"}', "application/json", "cannot be read as its Content-Type says"),
        (b'{"email": ' + b"9" * 5000 + b"}", "application/json", "cannot be read as its Content-Type says"),
        (b"[" * 100_000, "application/json", "cannot be read as its Content-Type says"),
    ],
)
def test_a_body_that_cannot_be_read_is_named(client, complaint, content, content_type, message):
    answer = client.post("/api/v1/auth/register", content=content, headers={"Content-Type": content_type})
    assert complaint(answer) == {"body": message}


@pytest.mark.parametrize(
    ("path", "field", "words"),
    [
        ("/recommendations/-", "user_id", "may have letters, digits and . _ : @ ~ - only"),
        ("/charts/popular?exclude=m1,m2", "exclude.0", "may have letters, digits and . _ : @ ~ - only"),
        ("/recommendations/{user}?cursor=3", "cursor", "is no cursor of a list; send the `next_cursor` of an answer"),
    ],
)
def test_what_a_text_must_look_like_is_told_in_words(visitor, complaint, path, field, words):
    assert complaint(visitor.get(path.format(user=visitor.user_id)))[field].startswith(words)


def test_several_errors_are_counted_in_the_detail(client):
    told = problem(client.post("/api/v1/auth/register", json={"email": 1, "age": 7}), 422, "request-invalid")
    assert told["detail"] == "email: Input should be a valid string (and 2 more)"
    assert told["errors"][-1] == {"field": "age", "message": "is not a known field"}


def test_what_is_sent_is_never_repeated_into_an_answer_that_cannot_carry_it(client, complaint):
    for content, field in ((rb'{"email": "\ud800", "password": "long enough"}', "email"), (rb'{"\udc00": 1}', "body")):
        answer = client.post("/api/v1/auth/register", content=content, headers={"Content-Type": "application/json"})
        assert field in complaint(answer)


def test_an_unexpected_error_tells_the_log_everything_and_the_client_nothing(api, caplog):
    async def fail() -> None:
        raise RuntimeError("the secret is 42")

    api.add_api_route("/fail", fail)
    with TestClient(api, raise_server_exceptions=False) as client, caplog.at_level(logging.INFO):
        answer = client.get("/fail", headers={"X-Correlation-ID": "abc-1"})
    told = problem(answer, 500, "unexpected")
    assert told["correlation_id"] == "abc-1"
    assert "42" not in answer.text
    assert "RuntimeError" not in answer.text


def test_a_fault_in_the_middle_of_an_answer_is_logged_and_not_answered_twice(api):
    from collections.abc import Iterator

    from starlette.responses import StreamingResponse

    def break_off() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError

    api.add_api_route("/half", lambda: StreamingResponse(break_off()))
    with TestClient(api, raise_server_exceptions=False) as client:
        assert client.get("/half").content == b"half"


def test_a_lost_database_is_told_and_comes_back(client, visitor, connection, postgres):
    (name,) = connection.execute("SELECT current_database()").fetchone()
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        began = time.monotonic()
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "down")
        assert ready.json()["checks"]["database"] == "does not answer"
        assert client.get("/livez").status_code == 200
        lost = visitor.get("/models")
        problem(lost, 503, "database-unavailable")
        assert lost.headers["retry-after"] == "2"
        told = problem(client.post("/api/v1/auth/token", data={"username": "a@b.c", "password": "x"}), 503, "database-unavailable")
        assert "psycopg" not in json.dumps(told)
        assert time.monotonic() - began < 20
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    deadline = time.monotonic() + 20
    while visitor.get("/models").status_code != 200:
        assert time.monotonic() < deadline
