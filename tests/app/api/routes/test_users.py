"""Users over HTTP."""

import pytest


def test_a_user_is_added_read_and_listed(service):
    body = {"id": "42", "name": "Ada", "preferred_categories": ["Comedy"], "attributes": {"age": 36}}
    added = service.post("/users", body)
    assert (added.status_code, added.headers["location"]) == (201, "/api/v1/users/42")
    user = service.get("/users/42").json()
    assert user == added.json()
    assert {name: user[name] for name in body} == body
    assert service.get("/users").json() == {"data": [user], "next_cursor": None}

    again = service.post("/users", body)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/user-exists")


def test_pages_of_users_follow_each_other(service):
    for number in range(5):
        service.post("/users", {"id": f"u{number}"})
    first = service.get("/users", params={"limit": 3}).json()
    second = service.get("/users", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [user["id"] for user in first["data"] + second["data"]] == ["u0", "u1", "u2", "u3", "u4"]
    assert second["next_cursor"] is None


def test_visitors_see_their_own_user_only(visitor, service):
    service.post("/users", {"id": "42"})
    assert visitor.get(f"/users/{visitor.user_id}").json()["name"] == "Somebody"
    assert visitor.get("/users/42").status_code == 403
    assert visitor.get("/users/nobody").status_code == 403  # nor do they learn who exists
    assert visitor.get("/users").status_code == 403
    assert visitor.post("/users", {"id": "43"}).status_code == 403


def test_an_unknown_user_is_not_found(service):
    missing = service.get("/users/nobody")
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/user-not-found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "id"),
        ({"id": "é"}, "id"),
        ({"id": "1", "name": "\x00"}, "name"),
        ({"id": "1", "preferred_categories": [""]}, "preferred_categories.0"),
        ({"id": "1", "attributes": "none"}, "attributes"),
        ({"id": "1", "email": "a@example.org"}, "email"),
    ],
)
def test_a_wrong_field_is_named(service, complaint, body, field):
    assert list(complaint(service.post("/users", body))) == [field]
