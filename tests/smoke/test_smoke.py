"""What an application does with the API, from the first account to a list, on a database that is thrown away."""

import secrets

import psycopg


def sign_in(api, email, password):
    return api.post("/api/v1/auth/token", data={"username": email, "password": password})


def register(api):
    """Headers and the user's id of somebody new."""
    person = {"email": f"smoke-{secrets.token_hex(6)}@example.org", "password": secrets.token_urlsafe()}
    registered = api.post("/api/v1/auth/register", json=person)
    assert registered.status_code == 201, registered.text
    token = sign_in(api, person["email"], person["password"]).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}, registered.json()["user_id"]


def test_the_database_is_one_of_its_own_at_the_newest_schema(own, server_url):
    assert own.database != server_url
    with psycopg.connect(own.database) as connection:
        assert connection.execute("SELECT current_database() LIKE 'marquee_smoke_%'").fetchone() == (True,)
        assert connection.execute("SELECT to_regclass('tasks') IS NOT NULL").fetchone() == (True,)


def test_signing_in_works_only_with_the_right_password(api, own):
    assert sign_in(api, own.email, own.password).status_code == 200
    wrong = sign_in(api, own.email, "not the password")
    assert (wrong.status_code, wrong.headers["content-type"]) == (401, "application/problem+json")
    assert api.get("/api/v1/auth/me").status_code == 401


def test_a_refresh_token_is_good_once(api, own):
    first = sign_in(api, own.email, own.password).json()["refresh_token"]
    assert api.post("/api/v1/auth/refresh", json={"refresh_token": first}).status_code == 200
    assert api.post("/api/v1/auth/refresh", json={"refresh_token": first}).status_code == 401


def test_the_catalogue_takes_an_item_and_finds_it(admin):
    item = {"id": f"film-{secrets.token_hex(4)}", "title": "The Lighthouse Keeper's Dog", "categories": ["Comedy"]}
    assert admin.post("/items", json=item).status_code == 201
    assert admin.get(f"/items/{item['id']}").json()["title"] == item["title"]
    assert admin.post("/items", json=item).status_code == 409
    assert admin.get("/items/nothing").status_code == 404


def test_somebody_new_may_act_for_nobody_else(api):
    headers, user_id = register(api)
    assert api.get(f"/api/v1/recommendations/{user_id}", headers=headers).status_code == 200
    assert api.get("/api/v1/recommendations/admin", headers=headers).status_code == 403
    assert api.post("/api/v1/items", headers=headers, json={"id": "x", "title": "X"}).status_code == 403


def test_an_event_is_kept_and_asks_for_a_new_list(api, admin):
    item_id = f"film-{secrets.token_hex(4)}"
    admin.post("/items", json={"id": item_id, "title": "Big"})
    headers, user_id = register(api)
    event = api.post("/api/v1/interactions", headers=headers, json={"item_id": item_id, "type": "like"})
    assert event.status_code == 201, event.text
    kept = api.get("/api/v1/interactions", headers=headers, params={"user_id": user_id}).json()["data"]
    assert [row["item_id"] for row in kept] == [item_id]
    tasks = api.get("/api/v1/tasks", headers=headers).json()["data"]
    assert [(task["kind"], task["state"]) for task in tasks] == [("recommend", "queued")]


def test_a_task_is_taken_once_a_key_and_can_be_cancelled(admin):
    ask = {"json": {"kind": "refresh_lists", "payload": {}}, "headers": {"Idempotency-Key": secrets.token_hex(8)}}
    first, again = admin.post("/tasks", **ask), admin.post("/tasks", **ask)
    assert (first.status_code, first.headers["Location"]) == (202, again.headers["Location"])
    address = first.headers["Location"].removeprefix("/api/v1")
    assert admin.post(f"{address}/cancel").json()["state"] == "cancelled"


def test_wrong_input_is_answered_field_by_field(admin):
    answer = admin.post("/items", json={"id": "x", "titel": "Big"})
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {"title", "titel"}
