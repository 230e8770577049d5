"""What users do, over HTTP."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest


def listed(page):
    assert page.status_code == 200, page.text
    return [(row["item_id"], row["type"]) for row in page.json()["data"]]


def test_an_interaction_is_recorded_and_asks_for_a_new_list(visitor, films, connection):
    recorded = visitor.post("/interactions", {"item_id": "m1", "type": "rating", "value": 4.5})
    assert recorded.status_code == 201, recorded.text
    row = recorded.json()
    assert (row["user_id"], row["item_id"], row["type"], row["value"]) == (visitor.user_id, "m1", "rating", 4.5)
    assert abs(datetime.fromisoformat(row["occurred_at"]) - datetime.now(UTC)) < timedelta(minutes=1)

    task = visitor.get(f"/tasks/{recorded.headers['x-task-id']}").json()
    assert (task["kind"], task["state"], task["payload"]) == ("recommend", "queued", {"user_id": visitor.user_id})
    stored = connection.execute("SELECT correlation_id FROM tasks").fetchone()
    assert stored == (recorded.headers["x-correlation-id"],)
    again = visitor.post("/interactions", {"item_id": "m2", "type": "like"})
    assert again.headers["x-task-id"] == recorded.headers["x-task-id"]


def test_more_requests_than_connections_wait_for_their_turn(visitor, films):
    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(lambda _: visitor.post("/interactions", {"item_id": "m1", "type": "view"}), range(80)))
    assert {answer.status_code for answer in answers} == {201}


def test_the_worker_is_rung_when_the_event_is_committed(visitor, films, database_url):
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("LISTEN marquee_bell")
        visitor.post("/interactions", {"item_id": "m1", "type": "like"})
        assert [heard.payload for heard in listener.notifies(timeout=5, stop_after=1)] == ["interactive"]


@pytest.mark.parametrize(
    ("type_", "value", "stored"),
    [("watch", None, 1), ("watch", 0, 0), ("watch", 0.25, 0.25), ("rating", 0.5, 0.5), ("rating", 5, 5)]
    + [(name, value, 1) for name in ("like", "dislike", "bookmark", "view") for value in (None, 1)],
)
def test_values_that_fit_their_type(visitor, films, type_, value, stored):
    body = {"item_id": "m1", "type": type_} | ({} if value is None else {"value": value})
    recorded = visitor.post("/interactions", body)
    assert (recorded.status_code, recorded.json()["value"]) == (201, stored)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": "rating"}, "value"),
        ({"type": "rating", "value": 0}, "value"),
        ({"type": "rating", "value": 5.5}, "value"),
        ({"type": "watch", "value": -0.1}, "value"),
        ({"type": "watch", "value": 1.1}, "value"),
        ({"type": "like", "value": 2}, "value"),
        ({"value": "1"}, "value"),
        ({"value": True}, "value"),
        ({"type": "love"}, "type"),
        ({"type": None}, "type"),
        ({"item_id": 1}, "item_id"),
        ({"item_id": "m 1"}, "item_id"),
        ({"user_id": ""}, "user_id"),
        ({"occurred_at": "2026-01-01T00:00:00"}, "occurred_at"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"occurred_at": 1_700_000_000}, "occurred_at"),
        ({"occurred_at": (datetime.now(UTC) + timedelta(days=1, hours=1)).isoformat()}, "occurred_at"),
        ({"occurred_at": "1969-12-31T23:59:59Z"}, "occurred_at"),
        ({"time": "now"}, "time"),
    ],
)
def test_a_wrong_field_is_named(visitor, films, complaint, changes, field):
    assert list(complaint(visitor.post("/interactions", {"item_id": "m1", "type": "like", **changes}))) == [field]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_a_value_is_finite(visitor, films, complaint, number):
    content = f'{{"item_id": "m1", "type": "rating", "value": {number}}}'
    headers = {**visitor.headers, "Content-Type": "application/json"}
    assert list(complaint(visitor.client.post("/api/v1/interactions", content=content, headers=headers))) == ["value"]


def test_the_same_event_again_replaces_the_value(visitor, films):
    body = {"item_id": "m1", "type": "rating", "value": 2, "occurred_at": "2026-01-01T12:00:00+02:00"}
    first = visitor.post("/interactions", body).json()
    second = visitor.post("/interactions", {**body, "value": 4, "occurred_at": "2026-01-01T10:00:00Z"}).json()
    assert second == {**first, "value": 4}
    assert second["occurred_at"] == "2026-01-01T10:00:00Z"


def test_an_unknown_item_or_user_is_not_found_and_nothing_is_left_behind(visitor, service, films, connection):
    item = visitor.post("/interactions", {"item_id": "nothing", "type": "like"})
    assert (item.status_code, item.json()["type"]) == (404, "/problems/item-not-found")
    user = service.post("/interactions", {"user_id": "nobody", "item_id": "m1", "type": "like"})
    assert (user.status_code, user.json()["type"]) == (404, "/problems/user-not-found")
    assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (0,)


def test_visitors_act_for_themselves_and_services_for_anybody(visitor, service, films, complaint):
    body = {"item_id": "m1", "type": "like"}
    assert visitor.post("/interactions", {**body, "user_id": visitor.user_id}).status_code == 201
    assert visitor.post("/interactions", {**body, "user_id": "somebody-else"}).status_code == 403
    assert visitor.get("/interactions", params={"user_id": "somebody-else"}).status_code == 403
    assert service.post("/interactions", {**body, "user_id": visitor.user_id}).status_code == 201
    assert list(complaint(service.post("/interactions", body))) == ["user_id"]


def test_the_task_a_service_caused_is_visible_to_the_user_it_is_for(visitor, service, films, sign_up):
    recorded = service.post("/interactions", {"user_id": visitor.user_id, "item_id": "m1", "type": "like"})
    path = f"/tasks/{recorded.headers['x-task-id']}"
    assert visitor.get(path).status_code == 200
    assert sign_up("user").get(path).status_code == 404


def test_interactions_are_listed_newest_first_in_pages(visitor, sign_up, films):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for item_id, day in (("m1", 1), ("m2", 3), ("m3", 2), ("m4", 3)):
        visitor.post("/interactions", {"item_id": item_id, "type": "like", "occurred_at": (at + timedelta(days=day)).isoformat()})
    sign_up("user").post("/interactions", {"item_id": "m1", "type": "like"})

    first = visitor.get("/interactions", params={"limit": 3})
    assert listed(first) == [("m4", "like"), ("m2", "like"), ("m3", "like")]
    assert first.json()["data"][0]["item_title"] == "Film 4"
    rest = visitor.get("/interactions", params={"limit": 3, "cursor": first.json()["next_cursor"]})
    assert listed(rest) == [("m1", "like")]
    assert rest.json()["next_cursor"] is None


def test_interactions_are_filtered(visitor, service, films):
    visitor.post("/interactions", {"item_id": "m1", "type": "like"})
    visitor.post("/interactions", {"item_id": "m1", "type": "view"})
    visitor.post("/interactions", {"item_id": "m2", "type": "view"})
    assert listed(visitor.get("/interactions", params={"item_id": "m1", "type": "view"})) == [("m1", "view")]
    assert len(listed(service.get("/interactions"))) == 3
    assert listed(service.get("/interactions", params={"user_id": "nobody"})) == []


def test_an_account_without_a_user_has_done_nothing(sign_up, visitor, films):
    visitor.post("/interactions", {"item_id": "m1", "type": "like"})
    assert listed(sign_up("user", linked=False).get("/interactions")) == []


@pytest.mark.parametrize(
    "key",
    [["m1"], ["2026-01-01T00:00:00", 1], ["2026-01-01T00:00:00Z", 2**63], ["2026-01-01T00:00:00Z", -1], ["2026-01-01T00:00:00Z", 1.5]],
)
def test_a_damaged_cursor_is_refused(visitor, complaint, key):
    cursor = base64.urlsafe_b64encode(json.dumps(key).encode()).decode()
    assert list(complaint(visitor.get("/interactions", params={"cursor": cursor}))) == ["cursor"]


def test_a_wrong_parameter_is_named(visitor, complaint):
    for params in ({"type": "love"}, {"user_id": "\x00"}, {"item_id": " "}, {"limit": -1}):
        assert list(complaint(visitor.get("/interactions", params=params))) == list(params)
