"""The catalogue over HTTP."""

import base64

import pytest

FILM = {"id": "m-1", "title": "A Film"}


def ids(page):
    assert page.status_code == 200, page.text
    return [item["id"] for item in page.json()["data"]]


def test_an_item_is_added_and_read_back(service, visitor):
    body = {
        **FILM,
        "categories": ["Drama"],
        "tags": ["night"],
        "released_at": "1950-01-01T02:00:00+02:00",
        "image_url": "https://example.org/1.jpg",
        "description": "Of a film.",
        "attributes": {"minutes": 90, "cast": ["A", {"b": None}]},
    }
    added = service.post("/items", body)
    assert added.status_code == 201, added.text
    assert added.headers["location"] == "/api/v1/items/m-1"
    item = visitor.get("/items/m-1").json()
    assert item == added.json()
    assert item["released_at"] == "1950-01-01T00:00:00Z"
    assert {name: item[name] for name in body if name != "released_at"} == {name: body[name] for name in body if name != "released_at"}


def test_an_item_is_added_once(service):
    assert service.post("/items", FILM).status_code == 201
    again = service.post("/items", {**FILM, "title": "Another"})
    assert (again.status_code, again.json()["type"]) == (409, "/problems/item-exists")


def test_visitors_do_not_add_items(visitor):
    refused = visitor.post("/items", FILM)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": "x" * 129}, "id"),
        ({"id": 7}, "id"),
        ({"id": "popular"}, "id"),
        ({"id": "a\n"}, "id"),
        ({"title": ""}, "title"),
        ({"title": "x" * 501}, "title"),
        ({"title": "nul \x00"}, "title"),
        ({"title": None}, "title"),
        ({"tags": ["\x00"]}, "tags.0"),
        ({"released_at": "1999-01-01T00:00:00"}, "released_at"),
        ({"released_at": "0001-01-01T00:00:00+14:00"}, "released_at"),
        ({"released_at": 0}, "released_at"),
        ({"released_at": "soon"}, "released_at"),
        ({"image_url": "javascript:alert(1)"}, "image_url"),
        ({"description": "x" * 10_001}, "description"),
        ({"attributes": []}, "attributes"),
        ({"attributes": {"deep": {"nul": ["\x00"]}}}, "attributes"),
        ({"attributes": {"nul\x00": 1}}, "attributes"),
        ({"attributes": {"large": "x" * 17_000}}, "attributes"),
        ({"is_hidden": "yes"}, "is_hidden"),
        ({"is_hidden": 1}, "is_hidden"),
        ({"rating": 5}, "rating"),
    ],
)
def test_a_wrong_field_is_named(service, complaint, changes, field):
    assert list(complaint(service.post("/items", {**FILM, **changes}))) == [field]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("[" * 50 + "]" * 50, "nested more than 16 levels"),
        ("NaN", "not finite"),
        ("1e999", "not finite"),
        (r'"\ud800"', "surrogate"),
        (r'{"\udc00": 1}', "surrogate"),
    ],
)
def test_attributes_that_could_not_be_stored_are_refused(service, complaint, attributes, message):
    content = f'{{"id": "a", "title": "A", "attributes": {{"x": {attributes}}}}}'
    answer = service.client.post("/api/v1/items", content=content, headers={**service.headers, "Content-Type": "application/json"})
    assert message in complaint(answer)["attributes"]


def test_unknown_and_hidden_items_are_not_found(visitor, service, films):
    for item_id in ("nothing", "m5"):
        missing = visitor.get(f"/items/{item_id}")
        assert (missing.status_code, missing.json()["type"]) == (404, "/problems/item-not-found")
    assert service.get("/items/m5").json()["is_hidden"] is True


def test_an_id_that_cannot_be_one_is_invalid(visitor, complaint):
    for item_id in ("%00", "x" * 129, "a%20b"):
        assert list(complaint(visitor.get(f"/items/{item_id}"))) == ["item_id"]


def test_pages_follow_each_other_without_gap_or_overlap(visitor, films):
    pages, cursor = [], None
    while True:
        page = visitor.get("/items", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        pages.append(ids(page))
        cursor = page.json()["next_cursor"]
        if cursor is None:
            break
    assert pages == [["m1", "m2"], ["m3", "m4"]]


def test_items_are_found_by_title_and_category(visitor, service, connection, films):
    connection.execute("INSERT INTO items (id, title) VALUES ('percent', '100% Wolf_')")
    assert ids(visitor.get("/items", params={"query": "fILM"})) == ["m1", "m2", "m3", "m4"]
    assert ids(visitor.get("/items", params={"query": "0% w"})) == ["percent"]
    assert ids(visitor.get("/items", params={"query": "%"})) == ["percent"]
    assert ids(visitor.get("/items", params={"query": "m_1"})) == []
    assert ids(visitor.get("/items", params={"category": "Comedy"})) == ["m1", "m3"]
    assert ids(visitor.get("/items", params={"category": "Comedy", "query": "3"})) == ["m3"]
    assert ids(service.get("/items", params={"category": "Comedy", "include_hidden": True})) == ["m1", "m3", "m5"]


def test_hidden_items_are_not_for_visitors(visitor, films):
    assert visitor.get("/items", params={"include_hidden": True}).status_code == 403


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": 201}, {"limit": "x"}, {"query": "\x00"}, {"category": "\x00"}, {"cursor": "x" * 1001}]
)
def test_a_wrong_parameter_is_named(visitor, complaint, params):
    assert list(complaint(visitor.get("/items", params=params))) == list(params)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "%%%",
        "é",
        "bm9uc2Vuc2U",
        *(base64.urlsafe_b64encode(text.encode()).decode() for text in ('["a b"]', '["a","b"]', "[1]", "{}", '["\\u0000"]')),
    ],
)
def test_a_damaged_cursor_is_refused(visitor, complaint, cursor):
    assert list(complaint(visitor.get("/items", params={"cursor": cursor}))) == ["cursor"]


def test_popular_items_come_with_their_counts(visitor, sign_up, connection, films):
    for item_id, count in (("m2", 3), ("m1", 1), ("m5", 9)):
        for nth in range(count):
            connection.execute(
                "INSERT INTO interactions (user_id, item_id, type, value, occurred_at) VALUES (%s, %s, 'view', 1, to_timestamp(%s))",
                (visitor.user_id, item_id, nth),
            )
    popular = visitor.get("/items/popular", params={"limit": 3}).json()["data"]
    assert [(item["id"], item["interaction_count"]) for item in popular] == [("m2", 3), ("m1", 1), ("m3", 0)]
    assert ids(visitor.get("/items/popular", params={"category": "Comedy"})) == ["m1", "m3"]


def test_categories_are_counted_without_hidden_items(visitor, films):
    assert visitor.get("/categories").json() == {
        "data": [{"name": "Film", "item_count": 4}, {"name": "Comedy", "item_count": 2}, {"name": "Drama", "item_count": 2}]
    }
