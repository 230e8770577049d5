"""What surrounds every request."""

import re

import pytest
from structlog.testing import capture_logs

TOO_MUCH = 10 * 1024 * 1024 + 1


def test_a_well_formed_correlation_id_is_kept_and_any_other_replaced(client):
    assert client.get("/livez", headers={"X-Correlation-ID": "order-7:a.b_C"}).headers["x-correlation-id"] == "order-7:a.b_C"
    for odd in ("", "a b", "x" * 65, "ä", "a\n"):
        made = client.get("/livez", headers={"X-Correlation-ID": odd.encode()}).headers["x-correlation-id"]
        assert re.fullmatch(r"[0-9a-f]{32}", made)


@pytest.mark.parametrize("path", ["/livez", "/nothing", "/docs", "/openapi.json", "/api/v1/auth/me"])
def test_every_answer_carries_one(client, path):
    assert client.get(path).headers["x-correlation-id"]


def test_every_request_is_one_line_in_one_shape(client):
    with capture_logs() as logs:
        client.get("/livez")
        client.get("/docs?token=secret")
        client.get("/nothing")
    lines = [{name: line[name] for name in ("event", "log_level", "method", "path", "status")} for line in logs]
    assert lines == [
        {"event": "request", "log_level": "debug", "method": "GET", "path": "/livez", "status": 200},  # who watches asks often
        {"event": "request", "log_level": "info", "method": "GET", "path": "/docs", "status": 200},
        {"event": "request", "log_level": "info", "method": "GET", "path": "/nothing", "status": 404},
    ]
    assert all(line["duration_ms"] >= 0 for line in logs)


def in_pieces():
    for _ in range(11):
        yield b" " * 1024 * 1024


@pytest.mark.parametrize("content", [b" " * TOO_MUCH, in_pieces()], ids=["announced", "chunked"])
def test_a_body_that_is_too_large_is_refused(client, content):
    answer = client.post("/api/v1/auth/register", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert answer.json()["type"] == "/problems/body-too-large"
    assert answer.headers["x-correlation-id"]


def test_a_large_form_is_refused_too(client):
    answer = client.post("/api/v1/auth/token", data={"username": "a", "password": "x" * TOO_MUCH})
    assert answer.status_code == 413
