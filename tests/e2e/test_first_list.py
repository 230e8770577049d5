"""The story of a new user through HTTP, a real worker process and real PostgreSQL: register, rate five films, ask, get a list."""

import time

import httpx2
import pytest


@pytest.fixture
def client(stack):
    with httpx2.Client(base_url=f"{stack.api_url}/api/v1", timeout=30) as client:
        account = {"email": f"visitor-{time.time_ns()}@example.com", "password": "a long enough password"}
        assert client.post("/auth/register", json=account).status_code == 201
        token = client.post("/auth/token", data={"username": account["email"], "password": account["password"]}).json()
        client.headers["Authorization"] = f"Bearer {token['access_token']}"
        yield client


def follow(client: httpx2.Client, task: dict) -> dict:
    for _ in range(30):
        if task["finished_at"]:
            break
        task = client.get(f"/tasks/{task['id']}", params={"wait": 2}).json()
    assert task["state"] == "succeeded", task
    return task


def test_register_rate_five_films_and_get_a_personal_list(client):
    user_id = client.get("/auth/me").json()["user_id"]
    category = client.get("/categories").json()["data"][3]["name"]
    films = client.get("/items/popular", params={"category": category, "limit": 5}).json()["data"]
    for film in films:
        answer = client.post("/interactions", json={"item_id": film["id"], "type": "rating", "value": 5})
        assert answer.status_code == 201, answer.text

    submitted = client.post("/tasks", json={"kind": "recommend", "payload": {"user_id": user_id}})
    assert submitted.status_code == 202
    task = follow(client, client.get(submitted.headers["Location"].removeprefix("/api/v1")).json())

    answer = client.get(f"/recommendations/{user_id}", params={"count": 20}).json()
    assert answer["list_id"] == task["result"]["list_id"]
    assert (answer["is_cold"], answer["is_stale"], answer["algorithm"]) == (False, False, "als")
    rated = {film["id"] for film in films}
    assert len(answer["entries"]) == 20
    assert rated.isdisjoint(entry["item"]["id"] for entry in answer["entries"])
    reasons = [entry["reason"] for entry in answer["entries"] if entry["reason"]["type"] == "because_you_watched"]
    assert len(reasons) > 10
    assert all(item["id"] in rated for reason in reasons for item in reason["items"])


def test_the_list_follows_the_next_click_without_being_asked(client):
    user_id = client.get("/auth/me").json()["user_id"]
    cold = client.get(f"/recommendations/{user_id}", params={"wait": 10}).json()
    assert cold["is_cold"]
    first = cold["entries"][0]["item"]["id"]
    client.post("/interactions", json={"item_id": first, "type": "like"})
    warm = client.get(f"/recommendations/{user_id}", params={"wait": 10}).json()
    assert (warm["is_cold"], warm["is_stale"]) == (False, False)
    assert first not in {entry["item"]["id"] for entry in warm["entries"]}
    assert warm["list_id"] != cold["list_id"]


def test_the_start_ends_with_addresses_a_sign_in_and_a_list_with_reasons(stack):
    assert stack.admin_password in stack.output
    assert "because you liked" in stack.output
    assert "First personal list after" in stack.output
