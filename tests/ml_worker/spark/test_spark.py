"""ALS on Apache Spark: the same artifact and quality as `als`, the events of files, the way into the registry, and what is refused."""

import os
import shutil

import numpy as np
import pytest

pytest.importorskip("pyspark", reason="pyspark is not installed: make spark")
if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.skip("Spark needs Java, which is not on this machine", allow_module_level=True)

from ml_worker.evaluation.intervals import differences
from ml_worker.evaluation.lists import rank
from ml_worker.evaluation.metrics import measure
from ml_worker.evaluation.splits import at_random
from ml_worker.recommenders.als import Als
from ml_worker.recommenders.base import NothingToLearn
from ml_worker.recommenders.interactions import Interactions, InvalidInteractions
from ml_worker.recommenders.registry import load_recommender
from ml_worker.registry import open_registry
from ml_worker.spark.als import SparkAls, open_session, read_events, write_events
from ml_worker.spark.main import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # Spark looks for pandas when it is imported and finds one newer than it knows; nothing here uses it.
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]

MASTER = "local[2]"


@pytest.fixture(scope="module")
def session():
    session = open_session(MASTER)
    yield session
    session.stop()


@pytest.fixture
def events(session, tmp_path):
    """Interactions as Spark finds them in a file."""

    def events(interactions):
        path = tmp_path / "events.csv"
        write_events(interactions, path)
        return read_events(session, str(path))

    return events


def item_id(user: int, item: int) -> str:
    """Even users like other items than odd ones. The comma is for CSV to quote, as are the quotes of the users."""
    return f"{'odd' if user % 2 else 'even'}, {item}"


def two_tastes() -> Interactions:
    """Twenty users who like ten items each but for one."""
    told = [(f'"{user}"', item_id(user, item), 1000 * item + user) for user in range(20) for item in range(10) if item != user // 2]
    users, items, times = zip(*told, strict=True)
    return Interactions.from_events(users, items, np.ones(len(told)), times, catalogue=["nobody's"])


def test_what_it_makes_is_loaded_served_and_updated_as_als(events):
    interactions = two_tastes()
    model = SparkAls(Als.Config(factors=4), events=events(interactions))
    model.fit(interactions)
    served = load_recommender(model.save())
    assert type(served) is Als
    assert (served.item_ids, served.config) == (interactions.item_ids, model.config)
    for user, ranking in zip(interactions.user_ids, served.recommend(interactions.histories(), count=1), strict=True):
        number = int(user.strip('"'))
        assert interactions.item_ids[ranking.items[0]] == item_id(number, number // 2)
    since = len(interactions)
    more = Interactions.from_events(
        [*(interactions.user_ids[user] for user in interactions.users), '"0"'],
        [*(interactions.item_ids[item] for item in interactions.items), "nobody's"],
        [*interactions.weights, 1.0],
        [*interactions.times, 20_000],
    )
    served.update(more, since=since)
    assert np.abs(served.scores(more.histories([0]))).max() > 0


def test_counts_confidences_and_popularity_are_those_of_als(events, drawn):
    """Dislikes, pairs without a verdict and repeated events included."""
    ours, theirs = Als(Als.Config(factors=4, iterations=1)), SparkAls(Als.Config(factors=4, iterations=1), events=events(drawn))
    ours.fit(drawn)
    theirs.fit(drawn)
    mine, other = (load_recommender(model.save()) for model in (ours, theirs))
    histories = drawn.histories()
    assert (mine.is_personal(histories) == other.is_personal(histories)).all()
    arrays = [model._fitted().arrays for model in (mine, other)]
    assert arrays[1]["popularity"] == pytest.approx(arrays[0]["popularity"], rel=1e-5)
    assert arrays[1]["regularization"] == pytest.approx(arrays[0]["regularization"], rel=1e-5)


def test_it_learns_nothing_later_than_the_interactions_and_of_no_other_items(events):
    """What the gate holds out from the interactions is held out from the file too."""
    whole = two_tastes()
    first = whole.part(whole.times < 5000)
    late = np.unique(whole.items[whole.times >= 5000])
    unseen = np.setdiff1d(late, first.items)
    model = SparkAls(Als.Config(factors=4, iterations=2), events=events(whole))
    model.fit(first)
    arrays = model._fitted().arrays
    assert len(unseen)
    assert not arrays["item_factors"][unseen].any()
    assert not arrays["popularity"][unseen].any()
    assert arrays["item_factors"][np.unique(first.items)].any(axis=1).all()


def test_on_movielens_it_is_not_worse_than_als_by_more_than_chance(events, ratings):
    split = at_random(ratings, seed=0)
    ours, theirs = Als(), SparkAls(events=events(split.train))
    ours.fit(split.train)
    theirs.fit(split.train)
    found = [measure(rank(model, split, count=10), split.test).values["ndcg@10"] for model in (ours, theirs)]
    assert not differences({"ndcg@10": found[1]}, {"ndcg@10": found[0]})["ndcg@10"].is_below_zero


@pytest.mark.parametrize("line", ["u,i,NaN,5", "u,i,much,5", "u,i,,5", ",i,1.0,5", "u,i,1.0,", "u,i"])
def test_an_incomplete_event_is_refused(session, tmp_path, line):
    path = tmp_path / "events.csv"
    path.write_text(f"u,j,1.0,4\n{line}\n")
    interactions = Interactions.from_events(["u", "u"], ["i", "j"], [1.0, 1.0], [4, 5])
    with pytest.raises(InvalidInteractions, match="an event has no user, no time, or no finite weight"):
        SparkAls(events=read_events(session, str(path))).fit(interactions)


def test_events_of_other_items_only_are_nothing_to_learn_from(events):
    other = Interactions.from_events(["u"], ["another"], [1.0], [1])
    with pytest.raises(NothingToLearn, match="none of the events likes an item of the catalogue"):
        SparkAls(events=events(other)).fit(two_tastes())


@pytest.mark.usefixtures("catalogue", "session")
def test_a_training_is_judged_registered_and_served(connection, pool, settings, tmp_path):
    (version,), (made,) = run(pool, settings, Als.Config(factors=4), master=MASTER, events=None)
    assert made.gate["verdict"] in {"passed", "too_little_data"}
    status, algorithm, window = connection.execute(
        "SELECT status, algorithm, data_window FROM model_versions WHERE id = %s", (version,)
    ).fetchone()
    assert (status, algorithm, window["interaction_count"]) == ("live", "als", 180)
    assert window["last_id"] > 0
    served = open_registry(settings).current(connection)
    assert (served.version_id, type(served.recommender)) == (version, Als)
    assert connection.execute("SELECT count(*) FROM tasks WHERE kind = 'refresh_lists'").fetchone() == (1,)


@pytest.mark.usefixtures("catalogue", "session")
def test_a_model_of_other_events_is_not_updated_by_half(connection, pool, settings, tmp_path):
    """It knows more than the instance, which a partial training would take for all there is."""
    path = tmp_path / "events.csv"
    path.write_text("".join(f"v{user},w{item},1.0,{item}\n" for user in range(30) for item in range(10) if user % 10 != item))
    (version, *_), _ = run(pool, settings, Als.Config(factors=4), master=MASTER, events=str(path))
    (window,) = connection.execute("SELECT data_window FROM model_versions WHERE id = %s", (version,)).fetchone()
    assert (window["events"], "last_id" in window) == (str(path), False)
