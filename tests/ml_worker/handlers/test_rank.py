"""Lists for one request, by the real handlers in a slot of the test."""

import uuid

import pytest

from core import experiments, lists, similar, tasks
from core.artifacts import ArtifactStore
from core.database import transaction
from core.experiments import Arm
from core.list_ids import Origin, origin_of
from core.messages import RankPayload, RecommendManyPayload, RecommendPayload
from core.narrowing import Narrowing
from ml_worker import dataset
from ml_worker.recommenders.ease import Ease
from ml_worker.recommenders.popular import Popular
from ml_worker.registry import Registry, TrainedModel, window
from tests.rigs.lists import Reason, unpacked

EVERYTHING = Narrowing(count=50)


@pytest.fixture
def finish(connection, make_slot):
    """Submit, work until nothing is due, and return the task's state, result and error."""

    def run(payload):
        task_id = tasks.submit(payload, owner="alice").run(connection).id
        slots = [make_slot(queue) for queue in ("train", "batch", "interactive")]
        while sum(slot.work_once() for slot in slots):
            pass
        return connection.execute("SELECT state, result, error FROM tasks WHERE id = %s", (task_id,)).fetchone()

    return run


@pytest.fixture
def model_version(connection, catalogue, pool, settings):
    """Westerns of the years 1950 to 1959 and comedies of 1990 to 1999, a model that knows who likes which, and popularity beside it."""
    connection.execute(
        """UPDATE items SET categories = CASE left(id, 1) WHEN 'w' THEN '{Western}' ELSE '{Comedy}' END::text[],
           tags = ARRAY['t' || right(id, 1)],
           released_at = make_timestamptz(CASE left(id, 1) WHEN 'w' THEN 1950 ELSE 1990 END + right(id, 1)::int, 6, 1, 0, 0, 0, 'UTC')"""
    )
    with transaction(pool) as reading:
        interactions = dataset.read_interactions(reading, settings.interaction_weights)
    trained = []
    for recommender in (Ease(), Popular()):
        recommender.fit(interactions)
        trained.append(TrainedModel(recommender, window(interactions, last_id=1), 0.0))
    task_id = tasks.submit(RecommendPayload(user_id="stranger"), owner="test").run(connection).id
    tasks.request_cancel(task_id).run(connection)
    registry = Registry(ArtifactStore(settings.artifacts_url))
    with transaction(pool) as writing:
        (first, _), statements = registry.publish(writing, trained, task_id=task_id, replaced_id=None, keep=10)
        for statement in statements:
            statement.run(writing)
    return first


@pytest.fixture
def ranked(connection, finish):
    """The ids of the list that is asked for."""

    def run(payload):
        state, result, error = finish(payload)
        assert (state, error) == ("succeeded", None)
        entries = unpacked(connection, result["entries"])
        return [entry.item_id for entry in entries], {**result, "entries": entries}

    return run


def of_user(user_id="u2", **narrowing):
    return RankPayload(user_id=user_id, narrowing=Narrowing(**{"count": 50, **narrowing}))


def test_filters_apply_to_the_whole_catalogue(model_version, ranked):
    # u2 has met every western but w1.
    assert ranked(of_user(categories=("Western",)))[0] == ["w1"]
    assert ranked(of_user(categories=("Western", "Comedy"), match="all"))[0] == []
    assert set(ranked(of_user(year_from=1995))[0]) == {f"c{n}" for n in range(5, 10)}
    assert ranked(of_user(year_to=1960))[0] == ["w1"]
    assert set(ranked(of_user(tags=("t3", "t1")))[0]) == {"w1", "c1", "c3"}
    assert "w1" not in ranked(of_user(exclude=("w1", "no-such-item")))[0]
    assert set(ranked(of_user(categories=("Western",), include_seen=True))[0]) == {f"w{n}" for n in range(10)}
    whole = ranked(of_user())[0]
    assert ranked(of_user(offset=2, count=3))[0] == whole[2:5]
    assert ranked(of_user(categories=("Horror",)))[0] == []


def test_the_list_says_which_model_made_it_and_why_each_entry_is_there(model_version, ranked):
    item_ids, result = ranked(of_user())
    assert item_ids[0] == "w1"
    assert result["entries"][0].reason.type == "because_you_watched"
    assert all(item_id.startswith("w") for item_id in result["entries"][0].reason.item_ids)
    origin = origin_of(uuid.UUID(result["list_id"]))
    assert (origin.surface, origin.model_version_id) == ("ranked", model_version)


def test_diversity_and_caps_mix_the_categories(model_version, ranked):
    plain = ranked(of_user("u3", include_seen=True, count=6))[0]
    mixed = ranked(of_user("u3", include_seen=True, count=6, diversity=0.9))[0]
    assert {item_id[0] for item_id in plain} == {"c"}
    assert {item_id[0] for item_id in mixed} == {"c", "w"}
    capped = ranked(of_user("u3", include_seen=True, max_per_category=2))[0]
    assert sorted(item_id[0] for item_id in capped) == ["c", "c", "w", "w"]


@pytest.mark.parametrize("asked", [{"diversity": 0.5}, {"max_per_category": 5}, {"diversity": 0.5, "max_per_category": 5}])
def test_the_pages_of_a_list_that_is_mixed_make_up_that_list(model_version, ranked, asked):
    whole = ranked(of_user("u3", include_seen=True, count=10, **asked))[0]
    pages = [ranked(of_user("u3", include_seen=True, offset=offset, count=1, **asked))[0] for offset in range(10)]
    assert [item_id for page in pages for item_id in page] == whole
    assert len(set(whole)) == 10


def test_a_cap_looks_as_far_as_it_must(connection, model_version, ranked):
    connection.execute("UPDATE items SET categories = ARRAY[id] WHERE id IN ('w8', 'w9')")
    # Of what u3 likes most only one may be shown; what is left for the other places comes behind all of that.
    capped = ranked(of_user("u3", include_seen=True, max_per_category=1, count=4))[0]
    assert sorted(item_id[0] for item_id in capped) == ["c", "w", "w", "w"]
    assert {"w8", "w9"} < set(capped)


def test_a_cap_leaves_new_releases_their_share(connection, model_version, ranked):
    connection.execute(
        "INSERT INTO items (id, title, categories) VALUES ('new-w', 'N', '{Western}'), ('new-c', 'N', '{Comedy}'), ('bare', 'N', '{}')"
    )
    item_ids, result = ranked(of_user("u3", include_seen=True, max_per_category=2, count=4, new_share=0.5))
    assert len({"new-w", "new-c", "bare"}.intersection(item_ids)) == 2
    assert result["hints"] == []
    connection.execute("DELETE FROM items WHERE id IN ('new-w', 'bare')")
    item_ids, result = ranked(of_user("u3", include_seen=True, max_per_category=1, count=4, new_share=0.5))
    assert [item_id[0] for item_id in item_ids] == ["c", "w"]
    assert result["hints"] == ["max_per_category leaves room for none of the new releases"]


def test_new_releases_get_their_share_even_those_the_model_does_not_know(connection, model_version, ranked):
    connection.execute(
        "INSERT INTO items (id, title, categories) VALUES ('new-w', 'N', '{Western}'), ('new-c', 'N', '{Comedy}'), ('bare', 'N', '{}')"
    )
    item_ids, result = ranked(of_user(count=4, new_share=0.5))
    assert item_ids[1] == "new-w", "the new one nearest to the taste"
    assert sum(item_id in {"new-w", "new-c", "bare"} for item_id in item_ids) == 2
    assert result["entries"][1].reason.type == "new"
    assert ranked(of_user(categories=("Western",)))[0] == ["w1", "new-w"]
    connection.execute("UPDATE items SET released_at = '1999-01-01' WHERE released_at IS NULL")
    assert ranked(of_user(new_share=0.5))[1]["hints"] == ["nothing was released or added in the last 30 days"]


def test_chosen_categories_lead_a_strangers_list_until_the_first_event(connection, model_version, finish):
    connection.execute("UPDATE users SET preferred_categories = '{Comedy}' WHERE id = 'stranger'")
    finish(RecommendPayload(user_id="stranger"))
    cold = lists.read("stranger", narrowing=EVERYTHING).run(connection)
    assert {entry.item_id[0] for entry in cold.entries[:10]} == {"c"}
    assert (cold.entries[0].reason, cold.entries[0].reason_category, cold.is_cold) == ("category", "Comedy", True)
    connection.execute("INSERT INTO interactions (user_id, item_id, type, value, occurred_at) VALUES ('stranger', 'w0', 'like', 1, now())")
    finish(RecommendPayload(user_id="stranger"))
    warm = lists.read("stranger", narrowing=EVERYTHING).run(connection)
    assert {entry.item_id[0] for entry in warm.entries[:5]} == {"w"}
    assert not warm.is_cold


def test_a_session_needs_no_user(model_version, ranked):
    item_ids, result = ranked(RankPayload(item_ids=("w0", "unknown"), surface="session", narrowing=Narrowing(count=5)))
    assert {item_id[0] for item_id in item_ids} == {"w"}
    assert "w0" not in item_ids
    assert result["entries"][0].reason == Reason("because_you_watched", ("w0",))


def test_similar_items_are_stored_until_another_model_goes_live(connection, model_version, ranked):
    item_ids, _ = ranked(RankPayload(item_ids=("c4",), surface="similar", narrowing=EVERYTHING))
    stored = similar.read("c4", narrowing=EVERYTHING).run(connection)
    assert [entry.item_id for entry in stored.entries] == item_ids
    assert stored.model_version_id == model_version
    assert len(similar.read("c4", narrowing=EVERYTHING, user_id="u1").run(connection).entries) < len(item_ids), "u1 has met most"
    connection.execute("UPDATE model_versions SET status = 'retired' WHERE id = %s", (model_version,))
    assert similar.read("c4", narrowing=EVERYTHING).run(connection).list_id is None


def test_of_an_item_that_the_model_does_not_know_nothing_similar_is_stored(connection, model_version, ranked):
    connection.execute("INSERT INTO items (id, title) VALUES ('late', 'N')")
    _, result = ranked(RankPayload(item_ids=("late",), surface="similar", narrowing=EVERYTHING))
    assert result["is_cold"] is True
    assert similar.read("late", narrowing=EVERYTHING).run(connection).list_id is None
    ranked(RankPayload(item_ids=("c4",), surface="similar", narrowing=Narrowing(categories=("Comedy",))))
    assert similar.read("c4", narrowing=EVERYTHING).run(connection).list_id is None, "nor a part of them"


def test_a_certain_version_answers_or_the_reason_why_not(connection, model_version, ranked, finish):
    other = connection.execute("SELECT id FROM model_versions WHERE id <> %s", (model_version,)).fetchone()[0]
    assert ranked(of_user(model_version=other))[1]["model_version"] == other
    state, _, error = finish(of_user(model_version=10_000))
    assert (state, error["code"], error["message"]) == ("failed", "model_unusable", "there is no model version 10000")


def test_an_item_hidden_or_a_model_swapped_between_two_lists_takes_effect(connection, model_version, ranked):
    assert "w1" in ranked(of_user())[0]
    connection.execute("UPDATE items SET is_hidden = true WHERE id = 'w1'")
    assert "w1" not in ranked(of_user())[0]
    other = connection.execute("SELECT id FROM model_versions WHERE id <> %s", (model_version,)).fetchone()[0]
    connection.execute("UPDATE model_versions SET status = 'retired' WHERE status = 'live'")
    connection.execute("UPDATE model_versions SET status = 'live' WHERE id = %s", (other,))
    assert ranked(of_user())[1]["model_version"] == other


def test_each_user_gets_the_list_of_the_arm_for_good_and_the_id_says_so(connection, model_version, finish):
    other = connection.execute("SELECT id FROM model_versions WHERE id <> %s", (model_version,)).fetchone()[0]
    begun = experiments.start(name="e", share_b=0.5, arms=(Arm(), Arm(model_version=other))).run(connection)
    users = [f"u{n}" for n in range(20)]
    finish(RecommendManyPayload(user_ids=users))
    rows = connection.execute("SELECT user_id, list_id, model_version_id FROM recommendation_lists").fetchall()
    assert {begun.arm_of(user_id) for user_id in users} == {0, 1}
    for user_id, list_id, version in rows:
        arm = begun.arm_of(user_id)
        assert version == (other if arm else model_version)
        assert origin_of(list_id) == Origin("personal", version, begun.id, arm)
    assert len(rows) == 20


def test_a_list_for_one_request_follows_the_arm_of_its_user_unless_it_names_a_model(connection, model_version, ranked):
    other = connection.execute("SELECT id FROM model_versions WHERE id <> %s", (model_version,)).fetchone()[0]
    begun = experiments.start(name="e", share_b=0.5, arms=(Arm(), Arm(model_version=other))).run(connection)
    for user_id in (next(f"u{n}" for n in range(20) if begun.arm_of(f"u{n}") == arm) for arm in (0, 1)):
        arm = begun.arm_of(user_id)
        _, result = ranked(of_user(user_id, categories=("Western",)))
        version = other if arm else model_version
        assert result["model_version"] == version
        assert origin_of(uuid.UUID(result["list_id"])) == Origin("ranked", version, begun.id, arm)
        _, result = ranked(of_user(user_id, model_version=model_version))
        assert origin_of(uuid.UUID(result["list_id"])) == Origin("ranked", model_version)
    _, result = ranked(RankPayload(item_ids=("w0",), surface="session", narrowing=Narrowing(count=5)))
    assert origin_of(uuid.UUID(result["list_id"])) == Origin("session", model_version)


def test_the_settings_of_an_arm_hold_for_what_a_request_does_not_say(connection, model_version, ranked):
    plain = ranked(of_user("u3", include_seen=True, count=6))[0]
    mixed = ranked(of_user("u3", include_seen=True, count=6, diversity=0.9))[0]
    arm = Arm(diversity=0.9, new_share=0.5)
    experiments.start(name="e", share_b=0.5, arms=(arm, arm)).run(connection)
    assert ranked(of_user("u3", include_seen=True, count=6))[0] == mixed != plain
    assert ranked(of_user("u3", include_seen=True, count=6, diversity=0.0))[0] == plain
    assert ranked(of_user("u3", include_seen=True, count=6, model_version=model_version))[0] == plain
    connection.execute("INSERT INTO items (id, title, categories) VALUES ('new-1', 'N', '{Comedy}'), ('new-2', 'N', '{Comedy}')")
    new = [item_id for item_id in ranked(of_user("u3", include_seen=True, count=4))[0] if item_id.startswith("new")]
    assert len(new) == 2
    none = ranked(of_user("u3", include_seen=True, count=4, new_share=0.0))[0]
    assert not [item_id for item_id in none if item_id.startswith("new")]
