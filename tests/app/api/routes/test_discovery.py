"""Charts, similar items, sessions and the whole page over HTTP, with the test in the part of the worker."""

import dataclasses
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.main import create_app
from core import claims, lists, similar
from core.list_ids import Origin, new_list_id, origin_of
from tests.rigs.lists import Entry, Reason, packed


@pytest.fixture
def crowd(connection, films):
    """m1 is liked by all, m3 by the newest events; m2 is disliked."""
    connection.execute("INSERT INTO users (id) SELECT 'x' || n FROM generate_series(1, 9) n")
    told = [("m1", "like", 9, 40), ("m3", "like", 4, 0), ("m2", "dislike", 9, 0)]
    for item_id, kind, count, days in told:
        connection.execute(
            "INSERT INTO interactions (user_id, item_id, type, value, occurred_at)"
            " SELECT 'x' || n, %s, %s, 1, now() - %s * interval '1 day' FROM generate_series(1, %s) n",
            (item_id, kind, days, count),
        )
    connection.execute("UPDATE items SET released_at = '2020-01-01'")
    connection.execute("UPDATE items SET released_at = '2024-01-01' WHERE id = 'm4'")
    return films


@pytest.fixture
def model_version(connection):
    (model_id,) = connection.execute(
        "INSERT INTO model_versions (algorithm, artifact, artifact_bytes, training_seconds, status)"
        " VALUES ('ease', 'x', 1, 1, 'live') RETURNING id"
    ).fetchone()
    return model_id


@pytest.fixture
def answering(connection, model_version):
    """Answer the one `rank` task that the request asks for with these items, as a worker does."""

    def run(ask, item_ids, *, payloads=None, failing=None, **told):
        with ThreadPoolExecutor() as threads:
            asked = threads.submit(ask)
            deadline = time.monotonic() + 30
            while not asked.done():
                assert time.monotonic() < deadline
                time.sleep(0.01)
                for claimed in claims.claim_next("interactive", lease_owner="test", lease_seconds=30, limit=1).run(connection).tasks:
                    if payloads is not None:
                        payloads.append(claimed.payload)
                    if failing is not None:
                        claims.fail(claimed, code=failing[0], message=failing[1], is_permanent=True).run(connection)
                        continue
                    _answer(connection, claimed, item_ids, model_version, **told)
            return asked.result()

    return run


def _answer(connection, claimed, item_ids, model_version, *, is_cold=False):
    surface = claimed.payload["surface"]
    entries = packed(connection, [Entry(item_id, 1.0, "personal", Reason("popular")) for item_id in item_ids])
    made = lists.ComputedList("", new_list_id(Origin(surface, model_version)), model_version, entries, is_cold=False, history_count=0)
    result = {
        "list_id": str(made.list_id), "model_version": model_version, "is_cold": is_cold, "hints": [],
        "entries": entries.columns(),
    }  # fmt: skip
    with connection.transaction():
        if surface == "similar" and not is_cold and not claimed.payload["narrowing"]["categories"]:
            similar.write(claimed.payload["item_ids"][0], made).run(connection)
        claims.complete([claims.Outcome(claimed, result)]).run(connection)


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"rank_seconds": 20.0})


@pytest.fixture
def api(settings):
    return create_app(settings)


def meet(connection, visitor, item_id):
    """Without a task that would have to be answered."""
    event = "INSERT INTO interactions (user_id, item_id, type, value, occurred_at) VALUES (%s, %s, 'view', 1, now())"
    connection.execute(event, (visitor.user_id, item_id))


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [entry["item"]["id"] for entry in answer.json()["entries"]]


def test_charts(visitor, crowd):
    assert ids(visitor.get("/charts/popular"))[:2] == ["m1", "m3"]
    assert ids(visitor.get("/charts/trending")) == ["m3", "m1"], "an event counts half after a week"
    assert ids(visitor.get("/charts/newest"))[0] == "m4"
    assert ids(visitor.get("/charts/popular", params={"category": "Drama"})) == ["m2", "m4"]
    visitor.post("/interactions", {"item_id": "m1", "type": "view"})
    assert ids(visitor.get("/charts/popular", params={"user_id": visitor.user_id}))[0] == "m3"
    assert visitor.get("/charts/popular", params={"user_id": "x1"}).status_code == 403
    assert visitor.get("/charts/best").status_code == 422


def test_what_has_not_changed_is_not_sent_again(visitor, crowd, model_version, connection):
    because = Reason("because_you_watched", ("m1",))
    entries = packed(connection, [Entry("m3", 1.0, "personal", because), Entry("m4", 0.5, "personal", because)])
    lists.write([lists.ComputedList(visitor.user_id, uuid.uuid4(), model_version, entries, is_cold=False, history_count=0)]).run(connection)
    for path in (f"/discover/{visitor.user_id}", "/charts/popular", "/charts/trending"):
        first = visitor.get(path)
        again = visitor.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (first.status_code, again.status_code) == (200, 304), path
        ids = {row["list_id"] for row in first.json().get("rows", [first.json()])}
        assert len(ids) == len(first.json().get("rows", [{}])), "every row has an id of its own"
    path = f"/charts/popular?user_id={visitor.user_id}"
    sent = {"If-None-Match": visitor.get(path).headers["ETag"]}
    assert visitor.get(path, headers=sent).status_code == 304
    visitor.post("/interactions", {"item_id": "m3", "type": "view"})
    assert visitor.get(path, headers=sent).status_code == 200


def test_similar_items_are_computed_once(visitor, crowd, answering, connection):
    first = answering(lambda: visitor.get("/items/m1/similar"), ["m3", "m5", "m4"])
    assert ids(first) == ["m3", "m4"], "m5 is hidden"
    assert (first.json()["algorithm"], first.json()["surface"], first.json()["is_complete"]) == ("ease", "similar", True)
    assert ids(visitor.get("/items/m1/similar")) == ["m3", "m4"]
    assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (0,), "asked for once, and forgotten with the answer"
    assert visitor.get("/items/nothing/similar").status_code == 404
    assert visitor.get("/items/m5/similar").status_code == 404


def test_without_a_model_what_shares_a_category_is_shown_and_said_so(visitor, crowd):
    answer = visitor.get("/items/m2/similar").json()
    assert answer["is_complete"] is False
    assert answer["hints"] == ["no model has been trained yet; these share a category with the item"]
    assert {entry["item"]["id"] for entry in answer["entries"]} == {"m1", "m3", "m4"}


def test_of_an_item_that_the_model_does_not_know_what_shares_a_category_is_shown(visitor, crowd, answering, connection):
    answer = answering(lambda: visitor.get("/items/m2/similar", params={"count": 3}), ["m3"], is_cold=True).json()
    assert answer["is_complete"] is False
    assert answer["hints"] == ["the live model says nothing of the item; these share a category with the item"]
    assert {entry["item"]["id"] for entry in answer["entries"]} == {"m1", "m3", "m4"}
    assert answer["surface"] == "similar"
    assert answer["list_id"] != visitor.get("/charts/popular").json()["list_id"], "or its clicks would count for the chart"
    meet(connection, visitor, "m1")
    path = f"/items/m2/similar?user_id={visitor.user_id}"
    assert "m1" not in ids(answering(lambda: visitor.get(path), ["m3"], is_cold=True))


def test_a_narrow_filter_finds_similar_items_beyond_the_stored_ones(visitor, crowd, answering, connection):
    answering(lambda: visitor.get("/items/m1/similar"), ["m3"])
    path, payloads = "/items/m1/similar?category=Drama&count=1", []
    assert ids(answering(lambda: visitor.get(path), ["m2", "m4"], payloads=payloads)) == ["m2"]
    assert payloads[0]["narrowing"]["new_share"] == 0
    assert ids(answering(lambda: visitor.get(f"{path}&offset=1"), ["m2", "m4"])) == ["m4"]
    meet(connection, visitor, "m2")
    assert ids(answering(lambda: visitor.get(f"{path}&user_id={visitor.user_id}"), ["m2", "m4"])) == ["m4"]
    assert ids(visitor.get("/items/m1/similar")) == ["m3"], "what is stored is as it was"
    assert visitor.get("/items/m1/similar?category=Opera").json()["hints"] == [
        "no item has the category 'Opera'; GET /categories lists those there are"
    ], "no worker is asked"


def test_items_of_a_session_that_are_not_known_are_named(visitor, crowd, answering):
    ask = {"item_ids": ["m1", "m5", "m9"], "count": 1}
    told = answering(lambda: visitor.post("/recommendations/session", ask), ["m4"]).json()
    assert told["hints"] == ["there are no items 'm5', 'm9'"], "m5 is hidden"
    cold = answering(lambda: visitor.post("/recommendations/session", {"item_ids": ["m1"], "count": 1}), ["m4"], is_cold=True).json()
    assert cold["hints"] == ["the live model knows none of the items; this is what is popular"]


def test_a_worker_is_asked_for_what_the_stored_list_lacks_though_a_category_is_misspelt(visitor, crowd, answering):
    path, wish = f"/recommendations/{visitor.user_id}", {"category": ["Drama", "Dramma"], "count": 5}
    answer = answering(lambda: visitor.get(path, params=wish), ["m4"])
    assert ids(answer) == ["m4"]
    assert answer.json()["model_version"] is not None
    assert answer.json()["hints"] == ["no item has the category 'Dramma'; GET /categories lists those there are"]
    both = answering(lambda: visitor.get(path, params={"category": ["Drama", "Comedy"], "match": "all"}), [])
    assert both.json()["hints"] == ["no item left has all of the categories; match=any asks for one of them"]
    few = answering(lambda: visitor.get(path, params={"category": "Drama", "year_from": 1990}), ["m4"])
    assert few.json()["hints"] == ["no more items were found for category, year_from"]


def test_a_session_needs_no_user(visitor, crowd, answering):
    assert ids(answering(lambda: visitor.post("/recommendations/session", {"item_ids": ["m1"]}), ["m4", "m2"])) == ["m4", "m2"]
    assert visitor.post("/recommendations/session", {"item_ids": []}).status_code == 422


def test_a_session_is_narrowed_and_ordered_as_a_users_list_is(visitor, crowd, answering):
    wish = {
        "category": ["Drama", "Film"], "match": "all", "tags": ["sea"], "year_from": 1990, "year_to": 1999, "exclude": ["m3"],
        "count": 7, "offset": 2, "diversity": 0.5, "new_share": 0.25, "max_per_category": 2,
    }  # fmt: skip
    payloads = []
    answer = answering(lambda: visitor.post("/recommendations/session", {"item_ids": ["m1"], **wish}), ["m4"], payloads=payloads)
    assert answer.json()["entries"][0]["position"] == 3
    (payload,) = payloads
    asked = payload["narrowing"]
    assert {name: asked["categories" if name == "category" else name] for name in wish} == wish


def test_what_the_stored_list_cannot_answer_is_computed_within_the_request(visitor, crowd, answering, connection):
    path = f"/recommendations/{visitor.user_id}"
    reordered = answering(lambda: visitor.get(path, params={"diversity": 0.5}), ["m2", "m1"])
    assert ids(reordered) == ["m2", "m1"]
    assert reordered.json()["is_complete"] is True
    narrow = answering(lambda: visitor.get(path, params={"category": "Drama", "count": 5}), ["m4"])
    assert ids(narrow) == ["m4"], "what is stored has too few"
    assert connection.execute("SELECT count(*) FROM tasks WHERE kind = 'rank'").fetchone() == (0,)


def test_if_no_worker_answers_in_time_the_stored_list_is_shown_and_said_so(visitor, crowd, model_version, connection):
    state = visitor.client.app.state
    hurried = state.services.settings.model_copy(update={"rank_seconds": 0.1})
    state.services = dataclasses.replace(state.services, settings=hurried)
    entries = packed(connection, [Entry("m3", 1.0, "personal", Reason("popular"))])
    lists.write([lists.ComputedList(visitor.user_id, uuid.uuid4(), model_version, entries, is_cold=False, history_count=0)]).run(connection)
    answer = visitor.get(f"/recommendations/{visitor.user_id}", params={"diversity": 1})
    assert ids(answer) == ["m3"]
    assert answer.json()["is_complete"] is False
    assert answer.json()["hints"] == ["no worker answered in time; this is what the stored list has"]
    assert connection.execute("SELECT state FROM tasks WHERE kind = 'rank'").fetchall() == [("cancelled",)]


def test_only_administrators_choose_the_model(visitor, admin, crowd, connection, model_version):
    assert visitor.get(f"/recommendations/{visitor.user_id}", params={"model": model_version}).status_code == 403


def test_a_version_whose_arrays_are_gone_is_told_from_one_that_never_was(admin, crowd, answering, model_version):
    def ask(version):
        failing = ("model_unusable", "model version 1 is no longer kept")
        return answering(lambda: admin.get(f"/recommendations/{admin.user_id}?model={version}"), [], failing=failing)

    gone, never = ask(model_version).json(), ask(10_000).json()
    assert (gone["type"], gone["detail"]) == ("/problems/model-has-no-artifact", "Model version 1 is no longer kept.")
    assert (never["type"], never["detail"]) == ("/problems/model-not-found", "There is no model version 10000.")


def test_the_whole_page_in_one_call(visitor, crowd, connection, model_version):
    reason = Reason("because_you_watched", ("m2",))
    entries = packed(connection, [Entry("m1", 2.0, "personal", reason), Entry("m4", 1.0, "personal", Reason("popular"))])
    lists.write([lists.ComputedList(visitor.user_id, uuid.uuid4(), model_version, entries, is_cold=False, history_count=0)]).run(connection)
    answer = visitor.get(f"/discover/{visitor.user_id}").json()
    rows = {(row["kind"], row["subject"]): [entry["item"]["id"] for entry in row["entries"]] for row in answer["rows"]}
    assert rows["for_you", None] == ["m1", "m4"]
    assert rows["because_you_watched", "m2"] == ["m1"]
    assert rows["category", "Drama"] == ["m4"]
    assert rows["trending", None] == ["m3", "m1"]
    assert len({row["list_id"] for row in answer["rows"]}) == len(answer["rows"])


def test_the_rows_of_a_page_belong_to_the_arm_of_the_list_they_are_parts_of(visitor, crowd, connection, model_version):
    reason = Reason("because_you_watched", ("m2",))
    entries = packed(connection, [Entry("m1", 2.0, "personal", reason), Entry("m4", 1.0, "personal", reason)])
    list_id = new_list_id(Origin("personal", model_version, 7, 1))
    lists.write([lists.ComputedList(visitor.user_id, list_id, model_version, entries, is_cold=False, history_count=0)]).run(connection)
    rows = visitor.get(f"/discover/{visitor.user_id}").json()["rows"]
    of_rows = [origin_of(uuid.UUID(row["list_id"])) for row in rows if row["surface"] == "row"]
    assert len(of_rows) > 1
    assert set(of_rows) == {Origin("row", model_version, 7, 1)}
    assert visitor.get("/discover/x1").status_code == 403
