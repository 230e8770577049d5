"""A running API answers: `API_URL=http://127.0.0.1:8080 pytest tests/smoke`, also from inside its container."""

import os
import secrets

import httpx2
import pytest


@pytest.fixture
def api():
    url = os.environ.get("API_URL")
    if not url:
        pytest.skip("API_URL names no API to try")
    with httpx2.Client(base_url=url, timeout=40) as client:
        yield client


def test_it_is_alive_and_ready_and_documented(api):
    assert api.get("/livez").json()["status"] == "ok"
    ready = api.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok"), ready.text
    assert "/api/v1/tasks" in api.get("/openapi.json").json()["paths"]
    assert api.get("/docs").status_code == 200


def test_somebody_new_registers_signs_in_and_asks_for_a_list(api):
    person = {"email": f"smoke-{secrets.token_hex(6)}@example.org", "password": secrets.token_urlsafe()}
    registered = api.post("/api/v1/auth/register", json=person)
    assert registered.status_code == 201, registered.text
    signed_in = api.post("/api/v1/auth/token", data={"username": person["email"], "password": person["password"]})
    headers = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
    answer = api.get(f"/api/v1/recommendations/{registered.json()['user_id']}", headers=headers)
    assert answer.status_code == 200, answer.text
