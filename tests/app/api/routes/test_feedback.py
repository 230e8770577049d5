"""Impressions, clicks, conversions and their report over HTTP."""

import uuid

import pytest

from core.list_ids import Origin, new_list_id, origin_of


@pytest.fixture
def list_id(connection):
    """A list of a model version."""
    (version,) = connection.execute(
        "INSERT INTO model_versions (algorithm, artifact, artifact_bytes, training_seconds, status)"
        " VALUES ('ease', 'x', 1, 1, 'live') RETURNING id"
    ).fetchone()
    return str(new_list_id(Origin("personal", version)))


def shown(list_id, *item_ids):
    return {"data": [{"list_id": list_id, "item_id": item_id, "position": place} for place, item_id in enumerate(item_ids, 1)]}


def test_list_ids_tell_where_lists_come_from():
    origin = Origin("similar", 2**40, 1000, 1)
    made = new_list_id(origin)
    assert (made.version, made.variant) == (8, uuid.RFC_4122)
    assert origin_of(made) == origin
    assert new_list_id(origin) != made
    assert new_list_id(Origin("cold"), seed="x") == new_list_id(Origin("cold"), seed="x") != new_list_id(Origin("cold"), seed="y")
    assert origin_of(uuid.uuid4()) is None


def test_what_is_shown_clicked_and_done_is_reported_by_algorithm_and_position(visitor, admin, films, list_id):
    assert visitor.post("/impressions", shown(list_id, "m1", "m2", "m3")).json()["recorded_count"] == 3
    assert visitor.post("/impressions", shown(list_id, "m1")).status_code == 200, "told again"
    click = {"data": [{"list_id": list_id, "item_id": "m2"}, {"list_id": list_id, "item_id": "m4", "position": 4}]}
    visitor.post("/clicks", click)
    done = visitor.post("/interactions", {"item_id": "m2", "type": "watch", "list_id": list_id})
    assert done.status_code == 201, done.text
    cold = str(new_list_id(Origin("cold")))
    visitor.post("/impressions", shown(cold, "m1"))
    (ease, other) = sorted(admin.get("/reports/click-through").json()["data"], key=lambda row: -row["impressions"])
    assert (ease["algorithm"], ease["impressions"], ease["clicks"], ease["conversions"]) == ("ease", 4, 2, 1)
    assert (ease["click_through"], ease["conversion"]) == (0.5, 0.25)
    assert ease["click_through_low"] < 0.5 < ease["click_through_high"]
    assert (other["algorithm"], other["clicks"]) == ("cold", 0)
    places = admin.get("/reports/click-through", params={"by": "position"}).json()["data"]
    assert {row["position"]: row["clicks"] for row in places} == {1: 0, 2: 1, 3: 0, 4: 1}
    assert visitor.get("/reports/click-through").status_code == 403


def test_what_cannot_be_recorded_is_said_of_each(visitor, service, films, list_id):
    told = {"data": [*shown(list_id, "m1", "nothing")["data"], {"list_id": str(uuid.uuid4()), "item_id": "m1"}]}
    assert visitor.post("/impressions", told).json() == {
        "recorded_count": 1,
        "outcomes": ["recorded", "item_not_found", "list_not_understood"],
    }
    foreign = {"data": [{"list_id": list_id, "item_id": "m1", "user_id": "other"}]}
    assert visitor.post("/clicks", foreign).status_code == 403
    assert service.post("/clicks", {"data": [{"list_id": list_id, "item_id": "m2", "user_id": "nobody"}]}).status_code == 404


def test_an_interaction_that_names_its_list_counts_though_nobody_told_of_the_impression(visitor, admin, films, list_id, complaint):
    told = [("m1", "like", {}), ("m2", "dislike", {}), ("m3", "rating", {"value": 2.5}), ("m4", "rating", {"value": 4})]
    for item_id, kind, value in told:
        assert visitor.post("/interactions", {"item_id": item_id, "type": kind, "list_id": list_id, **value}).status_code == 201
    (row,) = admin.get("/reports/click-through", params={"by": ["model_version", "algorithm"]}).json()["data"]
    assert (row["algorithm"], row["impressions"], row["clicks"], row["conversions"]) == ("ease", 2, 0, 2), "no dislike, no bad rating"
    assert row["model_version"] == origin_of(uuid.UUID(list_id)).model_version_id
    stranger = visitor.post("/interactions", {"item_id": "m1", "type": "view", "list_id": str(uuid.uuid4())})
    assert complaint(stranger) == {"list_id": "is the id of no list; send the list_id of the answer that showed the item"}


def test_wrong_fields_are_named(visitor, complaint, films, list_id):
    assert list(complaint(visitor.post("/impressions", {"data": []}))) == ["data"]
    wrong = {"data": [{"list_id": "x", "item_id": "m1", "position": 0}]}
    assert set(complaint(visitor.post("/impressions", wrong))) == {"data.0.list_id", "data.0.position"}
