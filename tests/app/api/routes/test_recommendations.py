"""Lists over HTTP, with the test in the part of the worker."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from core import claims, lists
from tests.rigs.lists import Entry, Reason, packed

POPULAR = Reason("popular")


@pytest.fixture
def model_version(connection):
    (model_id,) = connection.execute(
        "INSERT INTO model_versions (algorithm, artifact, artifact_bytes, training_seconds, status)"
        " VALUES ('als', 'x', 1, 1, 'live') RETURNING id"
    ).fetchone()
    return model_id


@pytest.fixture
def compute(connection, model_version):
    """Store a list of these items for a user, as a worker does."""

    def store(user_id, item_ids, *, reason=POPULAR, history_count=0):
        told = [Entry(item_id, 1.0 / place, "personal", reason) for place, item_id in enumerate(item_ids, 1)]
        entries = packed(connection, told)
        made = lists.ComputedList(user_id, uuid.uuid4(), model_version, entries, is_cold=False, history_count=history_count)
        lists.write([made]).run(connection)
        return made

    return store


@pytest.fixture
def work(connection, compute):
    """Store this list for every `recommend` task, as a worker does, until the answer is there."""

    def run(asked, user_id, item_ids, **options):
        deadline = time.monotonic() + 10
        while not asked.done():
            assert time.monotonic() < deadline, "nobody answers"
            time.sleep(0.01)
            for claimed in claims.claim_next("interactive", lease_owner="test", lease_seconds=30, limit=1).run(connection).tasks:
                with connection.transaction():
                    compute(user_id, item_ids, **options)
                    claims.complete([claims.Outcome(claimed, {})]).run(connection)
        return asked.result()

    return run


def read(person, **params):
    answer = person.get(f"/recommendations/{person.user_id}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer):
    return [entry["item"]["id"] for entry in answer["entries"]]


def test_without_a_list_what_is_popular_is_answered_led_by_the_chosen_categories(visitor, films, connection):
    connection.execute("INSERT INTO users (id) VALUES ('crowd')")
    for item_id, events in (("m1", 3), ("m2", 1), ("m3", 2)):
        connection.execute(
            "INSERT INTO interactions (user_id, item_id, type, value, occurred_at)"
            " SELECT 'crowd', %s, 'view', 1, now() - n * interval '1 minute' FROM generate_series(1, %s) n",
            (item_id, events),
        )
    connection.execute("UPDATE users SET preferred_categories = '{Drama}' WHERE id = %s", (visitor.user_id,))
    answer = read(visitor)
    assert ids(answer) == ["m2", "m4", "m1", "m3"]
    assert [entry["reason"]["type"] for entry in answer["entries"]] == ["category", "category", "popular", "popular"]
    assert answer["entries"][0]["reason"]["category"] == "Drama"
    assert (answer["is_cold"], answer["is_stale"], answer["computed_at"], answer["model_version"]) == (True, True, None, None)
    assert read(visitor)["list_id"] == answer["list_id"], "whoever looks again sees no new list"


def test_the_stored_list_is_answered_with_reasons(visitor, films, compute, model_version):
    made = compute(visitor.user_id, ["m2", "m1"], reason=Reason("because_you_watched", ("m4", "m3")))
    answer = read(visitor)
    assert (answer["list_id"], answer["model_version"], answer["algorithm"]) == (str(made.list_id), model_version, "als")
    assert (answer["is_stale"], answer["is_cold"], answer["task_id"]) == (False, False, None)
    assert answer["entries"][0] == {
        "position": 1,
        "item": {"id": "m2", "title": "Film 2", "categories": ["Drama", "Film"], "image_url": None, "released_at": None},
        "score": 1.0,
        "source": "personal",
        "reason": {
            "type": "because_you_watched",
            "items": [{"id": "m4", "title": "Film 4"}, {"id": "m3", "title": "Film 3"}],
            "category": None,
        },
    }
    assert [(entry["position"], entry["item"]["id"]) for entry in answer["entries"]] == [(1, "m2"), (2, "m1")]


def test_count_limits_the_entries_and_hidden_or_met_items_are_left_out(visitor, films, compute):
    compute(visitor.user_id, ["m5", "m4", "m3", "m2"])
    assert [entry["item"]["id"] for entry in read(visitor, count=2)["entries"]] == ["m4", "m3"]
    visitor.post("/interactions", {"item_id": "m4", "type": "view"})
    answer = read(visitor)
    assert [entry["item"]["id"] for entry in answer["entries"]] == ["m3", "m2"]
    assert answer["is_stale"] is True
    assert answer["task_id"] is not None


def test_waiting_brings_the_list_that_follows_the_event(visitor, films, compute, work):
    compute(visitor.user_id, ["m1", "m2"])
    visitor.post("/interactions", {"item_id": "m1", "type": "like"})
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(read, visitor, wait=20)
        answer = work(asked, visitor.user_id, ["m3"], history_count=1)
    assert [entry["item"]["id"] for entry in answer["entries"]] == ["m3"]
    assert (answer["is_stale"], answer["task_id"]) == (False, None)


def test_waiting_for_a_first_list_asks_for_it(visitor, films, work):
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(read, visitor, wait=20)
        assert work(asked, visitor.user_id, ["m1"])["is_stale"] is False


def test_waiting_in_vain_answers_with_what_there_is_and_the_task_under_way(visitor, films, compute, connection):
    made = compute(visitor.user_id, ["m2"])
    visitor.post("/interactions", {"item_id": "m1", "type": "like"})
    (claimed,) = claims.claim_next("interactive", lease_owner="test", lease_seconds=30, limit=1).run(connection).tasks
    assert read(visitor)["task_id"] == str(claimed.id)  # running ones too
    answer = read(visitor, wait=0.2)
    assert (answer["list_id"], answer["is_stale"]) == (str(made.list_id), True)
    assert answer["task_id"] is not None


def test_a_fresh_list_is_not_waited_for(visitor, films, compute, connection):
    compute(visitor.user_id, ["m2"])
    assert read(visitor, wait=20)["is_stale"] is False
    assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (0,)


def test_lists_belong_to_their_user(visitor, service, sign_up, compute, films):
    compute(visitor.user_id, ["m1"])
    assert sign_up("user").get(f"/recommendations/{visitor.user_id}").status_code == 403
    assert service.get(f"/recommendations/{visitor.user_id}").status_code == 200


def test_who_is_no_longer_let_in_reads_no_list(visitor, service, compute, films, connection):
    compute(visitor.user_id, ["m1"])
    connection.execute("UPDATE accounts SET is_active = false WHERE id = %s", (visitor.account_id,))
    connection.execute("DELETE FROM accounts WHERE id = %s", (service.account_id,))
    for person in (visitor, service):
        answer = person.get(f"/recommendations/{visitor.user_id}")
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/not-authenticated")


def test_a_user_that_is_not_known_gets_what_is_popular_or_404_if_that_is_wanted(service, films):
    answer = service.get("/recommendations/nobody").json()
    assert (answer["is_cold"], answer["is_stale"], answer["user_id"]) == (True, False, "nobody")
    assert len(answer["entries"]) == 4
    missing = service.get("/recommendations/nobody", params={"strict": True})
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/user-not-found")


def test_an_answer_that_is_known_is_not_sent_again(visitor, films, compute):
    compute(visitor.user_id, ["m1", "m2"])
    path = f"/api/v1/recommendations/{visitor.user_id}"
    first = visitor.client.get(path, headers=visitor.headers)
    tag = first.headers["ETag"]
    assert tag.startswith('W/"')
    again = visitor.client.get(path, headers={**visitor.headers, "If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    visitor.post("/interactions", {"item_id": "m1", "type": "view"})
    changed = visitor.client.get(path, headers={**visitor.headers, "If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag


@pytest.fixture
def shelf(connection):
    """Items a to d with categories, tags and years."""
    rows = [
        ("a", ["Comedy"], ["sea"], "1994-05-01"), ("b", ["Comedy", "Drama"], ["sea", "war"], "2001-01-01"),
        ("c", ["Drama"], [], "2010-12-31"), ("d", ["Western"], ["war"], None),
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO items (id, title, categories, tags, released_at) VALUES (%s, %s, %s, %s, %s)", [(r[0], *r) for r in rows]
        )


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"count": 2}, ["a", "b"]),
        ({"count": 2, "offset": 2}, ["c", "d"]),
        ({"count": 2, "category": "Comedy"}, ["a", "b"]),
        ({"count": 1, "category": ["Comedy", "Drama"], "match": "all"}, ["b"]),
        ({"count": 3, "category": ["Comedy", "Western"]}, ["a", "b", "d"]),
        ({"count": 2, "tags": "war"}, ["b", "d"]),
        ({"count": 2, "year_from": 2001}, ["b", "c"]),
        ({"count": 1, "year_from": 1990, "year_to": 1999}, ["a"]),
        ({"count": 2, "exclude": ["a", "c"]}, ["b", "d"]),
    ],
)
def test_what_the_stored_list_can_answer_is_answered_from_it(visitor, shelf, compute, params, expected):
    compute(visitor.user_id, ["a", "b", "c", "d"])
    answer = read(visitor, **params)
    assert ids(answer) == expected
    assert answer["entries"][0]["position"] == params.get("offset", 0) + 1


def test_a_cursor_goes_through_one_list_and_says_when_that_was_replaced(visitor, shelf, compute):
    compute(visitor.user_id, ["a", "b", "c", "d"])
    first = read(visitor, count=2)
    second = read(visitor, count=2, cursor=first["next_cursor"])
    assert (ids(first), ids(second)) == (["a", "b"], ["c", "d"])
    assert second["list_id"] == first["list_id"]
    assert [entry["position"] for entry in second["entries"]] == [3, 4]
    assert second["next_cursor"] is None, "the list has no fifth place"
    of_genre = read(visitor, count=1, category="Drama")
    assert ids(read(visitor, count=5, category="Drama", cursor=of_genre["next_cursor"])) == ["c"], "no worker is asked for more"
    compute(visitor.user_id, ["d", "c", "b", "a"])
    replaced = visitor.get(f"/recommendations/{visitor.user_id}", params={"count": 2, "cursor": first["next_cursor"]})
    assert (replaced.status_code, replaced.json()["type"]) == (409, "/problems/list-replaced")


def test_a_cursor_goes_through_the_list_of_a_stranger_too(service, films):
    first = service.get("/recommendations/nobody", params={"count": 3}).json()
    rest = service.get("/recommendations/nobody", params={"count": 3, "cursor": first["next_cursor"]}).json()
    assert (rest["list_id"], rest["next_cursor"]) == (first["list_id"], None)
    assert len({*ids(first), *ids(rest)}) == 4


@pytest.mark.parametrize("params", [{"cursor": "x"}, {"diversity": 0.5}, {"offset": 3}, {"include_seen": True}])
def test_a_cursor_that_cannot_be_is_refused(visitor, shelf, compute, complaint, params):
    compute(visitor.user_id, ["a", "b", "c", "d"])
    cursor = read(visitor, count=2)["next_cursor"]
    answer = visitor.get(f"/recommendations/{visitor.user_id}", params={"cursor": cursor, **params})
    assert complaint(answer).keys() == {"cursor"}


def test_a_list_of_which_most_was_met_since_is_read_to_its_end(visitor, connection, compute):
    connection.execute("INSERT INTO items (id, title) SELECT 'i' || n, 'Item' FROM generate_series(1, 60) n")
    compute(visitor.user_id, [f"i{n}" for n in range(1, 61)])
    connection.execute(
        "INSERT INTO interactions (user_id, item_id, type, value, occurred_at)"
        " SELECT %s, 'i' || n, 'view', 1, now() FROM generate_series(1, 40) n",
        (visitor.user_id,),
    )
    assert ids(read(visitor, count=5)) == ["i41", "i42", "i43", "i44", "i45"]
    assert len(ids(read(visitor, count=50))) == 20


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"category": "Comdy"}, "'Comdy'"),
        ({"year_from": 2000, "year_to": 1999}, "year_from (2000) is after year_to (1999)"),
        ({"category": "comedy"}, "no item has the category 'comedy'; did you mean 'Comedy'?"),
        ({"category": "Comedy,Drama"}, "for several, give the parameter several times"),
        ({"category": ["Comedy", "Opera"], "match": "all"}, "no item has the category 'Opera'; GET /categories"),
        ({"tags": "lake"}, "no item has the tag 'lake'"),
        ({"tags": "SEA"}, "did you mean 'sea'?"),
        ({"offset": 4}, "the list ends before offset 4"),
    ],
)
def test_what_cannot_be_is_an_empty_list_with_a_hint(visitor, shelf, compute, params, word):
    compute(visitor.user_id, ["a", "b", "c", "d"])
    answer = read(visitor, **params)
    assert answer["entries"] == []
    (hint,) = answer["hints"]
    assert word in hint


def test_where_a_list_ends_is_said(visitor, shelf, compute):
    compute(visitor.user_id, ["a", "b", "c", "d"])
    assert read(visitor, count=4)["hints"] == []
    assert read(visitor, count=3, offset=3)["hints"] == ["the list ends here"]
    assert read(visitor, count=1, category=["Comedy", "Opera"])["hints"] == [
        "no item has the category 'Opera'; GET /categories lists those there are"
    ], "also where another of the categories has enough"


def test_without_a_model_what_is_popular_is_shown_and_said_so(visitor, shelf):
    for wish, is_complete in (({}, True), ({"category": "Comedy"}, True), ({"diversity": 0.5}, False)):
        answer = read(visitor, **wish)
        assert (answer["hints"], answer["is_complete"]) == (["no model has been trained yet; this is what is popular"], is_complete)


@pytest.mark.usefixtures("model_version")
def test_a_stranger_cannot_have_another_order_and_is_told(service, shelf):
    for wish in ({"diversity": 0.5}, {"new_share": 0.5}, {"max_per_category": 1}, {"include_seen": True}):
        answer = service.get("/recommendations/nobody", params=wish).json()
        assert answer["is_complete"] is False
        assert answer["hints"][0].startswith("the user is not known"), wish
    assert service.get("/recommendations/nobody", params={"category": "Comedy"}).json()["is_complete"] is True


@pytest.mark.parametrize(
    "params",
    [
        {"count": 0},
        {"count": 101},
        {"offset": -1},
        {"year_from": 0},
        {"match": "some"},
        {"count": "all"},
        {"wait": -1},
        {"wait": 31},
        {"wait": "nan"},
    ],
)
def test_a_wrong_parameter_is_named(visitor, complaint, params):
    answer = visitor.get(f"/recommendations/{visitor.user_id}", params=params)
    assert list(complaint(answer)) == list(params)
