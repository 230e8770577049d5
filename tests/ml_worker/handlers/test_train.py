"""Trainings in a slot of the test: judged, partial, refused before they begin, failed."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from core import experiments, lists, model_versions, tasks
from core.experiments import Arm
from core.lists import Narrowing
from core.messages import RecommendPayload, TrainPayload, parse
from core.places import ArtifactsUnavailable
from ml_worker import recipes
from ml_worker.dataset import read_interactions
from ml_worker.handlers.registry import HANDLERS
from ml_worker.ranking import NoModel
from ml_worker.registry import Registry
from tests.rigs.tastes import store_two_tastes

HERE = {kind: replace(handler, runs_in_child=False) for kind, handler in HANDLERS.items()}
"""Trained in this process, which is quicker; the children have tests of their own."""

EVENT = "INSERT INTO interactions (user_id, item_id, type, value, occurred_at) VALUES (%s, %s, 'like', 1, now())"


@pytest.fixture
def finish(connection, make_slot):
    """Submit, work every queue until nothing is due, and return the task's state, result and error."""

    def finish(payload):
        task_id = tasks.submit(payload, owner="alice").run(connection).id
        slots = [make_slot(queue, HERE) for queue in ("train", "batch", "interactive")]
        while sum(slot.work_once() for slot in slots):
            pass
        return connection.execute("SELECT state, result, error FROM tasks WHERE id = %s", (task_id,)).fetchone()

    return finish


def train(finish, **payload):
    state, result, error = finish(TrainPayload(refresh_lists=False, **payload))
    assert (state, error) == ("succeeded", None)
    return result


def live(connection):
    return connection.execute("SELECT id, algorithm, scope, parent_id, replaced_id FROM model_versions WHERE status = 'live'").fetchone()


def test_with_too_little_data_the_gate_says_so_and_lets_it_through(connection, catalogue, finish):
    connection.execute("DELETE FROM interactions WHERE user_id = 'u19'")
    (model,) = train(finish, algorithms=("popular",))["models"]
    assert model["verdict"] == "too_little_data"
    assert model["reason"].startswith("too little data to judge: ")
    assert live(connection)[:2] == (model["id"], "popular")


def test_the_default_is_chosen_by_trying_and_says_what_was_tried(connection, catalogue, finish):
    (model,) = train(finish, algorithms=("default",))["models"]
    assert model["algorithm"] in {"blend", "rerank", "popular"}
    choice = connection.execute("SELECT metrics -> 'choice' FROM model_versions WHERE id = %s", (model["id"],)).fetchone()[0]
    assert choice["model"] == model["algorithm"]
    assert {tried["family"] for tried in choice["candidates"]} >= {"popular", "ease", "als"}
    finish(RecommendPayload(user_id="u1"))
    assert lists.read("u1", narrowing=Narrowing(count=5)).run(connection).algorithm == model["algorithm"]


@pytest.fixture
def tastes(connection):
    store_two_tastes(connection)


@pytest.mark.usefixtures("tastes")
def test_of_several_that_pass_the_one_that_is_surely_better_goes_live(connection, finish):
    result = train(finish, algorithms=("popular", "item_knn", "als"))
    popular, knn, als = result["models"]
    assert {model["verdict"] for model in result["models"]} == {"passed"}
    assert result["goes_live"] == live(connection)[0]
    assert result["goes_live"] in {knn["id"], als["id"]}, "though popularity was asked for first"
    assert "95 % interval of the difference" in popular["passed_over"]
    status, reason = connection.execute("SELECT status, status_reason FROM model_versions WHERE id = %s", (popular["id"],)).fetchone()
    assert (status, reason) == ("candidate", popular["passed_over"])


@pytest.mark.usefixtures("tastes")
def test_where_time_asks_few_the_last_of_each_are_asked_for_and_the_default_is_chosen_by_the_same(connection, finish):
    connection.execute("UPDATE interactions SET occurred_at = occurred_at + substr(user_id, 2)::int * interval '1 day'")
    (model,) = train(finish, algorithms=("default",))["models"]
    metrics = connection.execute("SELECT metrics FROM model_versions WHERE id = %s", (model["id"],)).fetchone()[0]
    assert (metrics["slice"]["kind"], metrics["choice"]["protocol"]) == ("last_of_each", "next")
    assert "popularity on the last 10% of each user's interactions, at most 10 of each, because the most recent" in model["reason"]


@pytest.mark.usefixtures("tastes")
def test_each_model_is_held_against_the_live_one_though_another_has_its_recipe(connection, finish):
    (first,) = train(finish, algorithms=("als",))["models"]
    again = train(finish, algorithms=("als", "popular"))
    als, popular = again["models"]
    assert als["reason"].startswith("not worse than popularity on"), "its own recipe is no rival"
    assert popular["verdict"] == "refused"
    assert f"worse than version {first['id']} (als), which is live" in popular["reason"]


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ({"algorithms": ["als", "ease", "als"]}, "names als more than once"),
        ({"scope": "partial", "parameters": {"als": {"factors": 8}}}, "parameters are for a full training"),
        ({"scope": "partial", "algorithms": ["als", "popular"]}, "a partial one updates the version that is live, whatever its algorithm"),
    ],
)
def test_a_training_that_contradicts_itself_is_not_taken(payload, why):
    with pytest.raises(ValidationError, match=why):
        parse("train", 3, payload)


def test_a_partial_training_is_stored_as_it_may_be_asked_for_and_older_ones_are_still_understood():
    asked = TrainPayload(scope="partial")
    assert parse("train", 3, asked.model_dump(mode="json")) == asked
    assert parse("train", 2, {"scope": "partial", "algorithms": ["als", "popular"], "parameters": {}, "refresh_lists": True}) == asked
    assert TrainPayload().model_dump(mode="json")["algorithms"] == ["als", "popular"]


def test_a_partial_training_needs_something_new_and_says_what_it_updated(connection, catalogue, finish):
    assert train(finish, scope="partial")["note"] == "no version is live; a full training makes one"
    first = train(finish, algorithms=("popular",))["models"][0]["id"]
    skipped = train(finish, scope="partial")
    assert (skipped["is_skipped"], skipped["note"]) == (True, f"nothing has happened since version {first} was trained")

    connection.execute("INSERT INTO items (id, title) VALUES ('a_new_one', 'New')")
    connection.execute(EVENT, ("stranger", "a_new_one"))
    connection.execute(EVENT, ("u0", "a_new_one"))
    updated = train(finish, scope="partial")
    assert (updated["new_count"], updated["interaction_count"], updated["is_skipped"]) == (2, 182, False)
    version = updated["models"][0]["id"]
    assert live(connection) == (version, "popular", "partial", first, first)
    finish(RecommendPayload(user_id="u1"))
    assert "a_new_one" in {entry.item_id for entry in lists.read("u1", narrowing=Narrowing(count=50)).run(connection).entries}

    connection.execute("DELETE FROM interactions WHERE user_id IN ('u3', 'u4')")
    connection.execute(EVENT, ("u1", "a_new_one"))
    assert "train in full" in train(finish, scope="partial")["note"]


@pytest.mark.parametrize(
    ("payload", "code", "message"),
    [
        ({"algorithms": ("als",), "parameters": {"als": {"factors": 0}}}, "invalid_parameters", "parameters.als.factors: Input should be"),
        ({"algorithms": ("als",), "parameters": {"als": {"depth": 3}}}, "invalid_parameters", "parameters.als.depth: Extra inputs"),
        (
            {"algorithms": ("als",), "parameters": {"als": {"factor": 3}}},
            "invalid_parameters",
            "parameters.als.factor: Extra inputs are not permitted; the parameters of als are: factors, ",
        ),
        (
            {"algorithms": ("default",), "parameters": {"default": {"factors": 3}}},
            "invalid_parameters",
            "parameters.default: the parameters",
        ),
        ({"algorithms": ("popular",), "parameters": {"als": {}}}, "invalid_parameters", "there are parameters for als, which"),
    ],
)
@pytest.mark.usefixtures("catalogue")
def test_parameters_that_an_algorithm_does_not_take_are_named(finish, payload, code, message):
    state, _, error = finish(TrainPayload(**payload))
    assert (state, error["code"]) == ("failed", code)
    assert error["message"].startswith(message)


def test_a_training_that_cannot_fit_is_refused_before_it_begins(connection, catalogue, settings):
    with connection.transaction():
        interactions = read_interactions(connection, settings.interaction_weights)
    with pytest.raises(recipes.TooLarge, match=r"training popular on 180 interactions of 20 users and 20 items takes about \d+ MB"):
        recipes.check_memory(recipes.recipes(["popular"], {}), interactions, limit_mb=64)


def test_a_payload_of_the_version_before_is_still_understood():
    old = parse("train", 1, {"scope": "full", "algorithms": ["als"], "refresh_lists": False})
    assert (old.algorithms, old.parameters) == (("als",), {})


@pytest.mark.usefixtures("catalogue")
def test_an_unusable_live_version_leaves_the_one_in_memory_serving(connection, finish, make_slot, tmp_path):
    train(finish, algorithms=("popular",))
    slot = make_slot("interactive")
    before = slot.context.ranker.compute(["u1"])["u1"]
    second = train(finish, algorithms=("popular",))["models"][0]["id"]
    (artifact,) = connection.execute("SELECT artifact FROM model_versions WHERE id = %s", (second,)).fetchone()
    (tmp_path / artifact / "arrays.npz").write_bytes(b"truncated")
    assert slot.context.ranker.compute(["u1"])["u1"].model_version_id == before.model_version_id
    fresh = replace(slot.context.ranker, registry=Registry(slot.context.registry.store))
    with pytest.raises(NoModel, match=r"cannot be loaded: .*arrays\.npz.*; roll back, or train anew") as refused:
        fresh.compute(["u1"])
    assert refused.value.code == "model_unusable"


@pytest.mark.usefixtures("catalogue")
def test_while_the_store_is_away_the_version_in_memory_is_served(connection, finish, make_slot, tmp_path):
    train(finish, algorithms=("popular",))
    slot = make_slot("interactive")
    before = slot.context.ranker.compute(["u1"])["u1"]
    second = train(finish, algorithms=("popular",))["models"][0]["id"]
    (artifact,) = connection.execute("SELECT artifact FROM model_versions WHERE id = %s", (second,)).fetchone()
    (tmp_path / artifact).rename(tmp_path / "away")
    (tmp_path / artifact).touch()  # a file cannot be looked into, which is no answer
    assert slot.context.ranker.compute(["u1"])["u1"].model_version_id == before.model_version_id
    fresh = replace(slot.context.ranker, registry=Registry(slot.context.registry.store))
    with pytest.raises(ArtifactsUnavailable):  # so that the task is tried again
        fresh.compute(["u1"])
    (tmp_path / artifact).unlink()
    (tmp_path / "away").rename(tmp_path / artifact)
    assert fresh.compute(["u1"])["u1"].model_version_id == second


def test_only_so_many_versions_keep_their_arrays(connection, catalogue, finish):
    for _ in range(3):
        train(finish, algorithms=("popular",))
    model_versions.let_go(keep=1).run(connection)
    kept = connection.execute("SELECT id, status, artifact IS NOT NULL FROM model_versions ORDER BY id").fetchall()
    assert [row[1:] for row in kept] == [("retired", False), ("retired", True), ("live", True)], "the live one and what it replaced"


def test_the_versions_of_an_experiment_keep_their_arrays_while_it_runs(connection, catalogue, finish):
    arm = train(finish, algorithms=("popular",))["models"][0]["id"]
    experiments.start(name="e", share_b=0.5, arms=(Arm(), Arm(model_version=arm))).run(connection)
    for _ in range(3):
        train(finish, algorithms=("popular",))
    kept = "SELECT artifact IS NOT NULL FROM model_versions WHERE id = %s"
    model_versions.let_go(keep=1).run(connection)
    assert connection.execute(kept, (arm,)).fetchone() == (True,)
    experiments.end("e").run(connection)
    model_versions.let_go(keep=1).run(connection)
    assert connection.execute(kept, (arm,)).fetchone() == (False,)
