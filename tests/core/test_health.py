"""The small server of processes that serve nothing else."""

import socket

import httpx2
import pytest

from core.health import CannotListen, Health, HealthServer


@pytest.fixture
def told():
    """What the process under test says of itself; a test may change it."""
    return {"health": Health("ok", {"database": "ok"}, {"slots": 3})}


@pytest.fixture
def url(told):
    with HealthServer("127.0.0.1", 0, readiness=lambda: told["health"], metrics=lambda: b"things_total 1\n") as server:
        yield f"http://127.0.0.1:{server.port}"


def test_readiness_is_the_status_and_the_body(url, told):
    answer = httpx2.get(f"{url}/readyz?verbose=1")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "checks": {"database": "ok"}, "slots": 3})
    assert answer.headers["cache-control"] == "no-store"
    told["health"] = Health("degraded", {})
    assert httpx2.get(f"{url}/readyz").status_code == 200
    told["health"] = Health("down", {"database": "does not answer"})
    assert httpx2.get(f"{url}/readyz").status_code == 503
    assert httpx2.get(f"{url}/livez").status_code == 200


def test_metrics_are_text_and_the_rest_is_not_there(url):
    answer = httpx2.get(f"{url}/metrics")
    assert (answer.text, answer.headers["content-type"].split(";")[0]) == ("things_total 1\n", "text/plain")
    assert httpx2.get(f"{url}/").status_code == 404
    assert (httpx2.head(f"{url}/readyz").status_code, httpx2.head(f"{url}/readyz").content) == (200, b"")


def test_a_client_that_hangs_holds_nobody_up(url):
    with socket.create_connection(httpx2.URL(url).netloc.decode().split(":")) as idle:
        idle.sendall(b"GET /rea")
        assert httpx2.get(f"{url}/readyz", timeout=5).status_code == 200


def test_a_port_in_use_is_a_reason():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CannotListen, match="Address already in use"):
        HealthServer("127.0.0.1", taken.getsockname()[1], readiness=lambda: Health("ok", {}), metrics=lambda: b"")
