"""What every recommender promises: a new algorithm adds one class at the foot of this file."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_worker.recommenders.adjacent import Adjacent
from ml_worker.recommenders.als import Als
from ml_worker.recommenders.answers import InvalidCount, MismatchedHistories
from ml_worker.recommenders.base import (
    NotFitted,
    NothingToLearn,
    Recommender,
    TrainingDiverged,
)
from ml_worker.recommenders.blend import Blend, Part
from ml_worker.recommenders.ease import Ease
from ml_worker.recommenders.infinite_ae import InfiniteAe
from ml_worker.recommenders.interactions import Histories, Interactions, InvalidInteractions
from ml_worker.recommenders.item_knn import ItemKnn
from ml_worker.recommenders.lightfm import LightFm
from ml_worker.recommenders.popular import Popular
from ml_worker.recommenders.recurrent import Recurrent
from ml_worker.recommenders.registry import RECOMMENDERS, load_recommender
from ml_worker.recommenders.rerank import Rerank
from ml_worker.recommenders.sequential import Sequential
from ml_worker.recommenders.state import DamagedModel, NewerModelFormat
from ml_worker.recommenders.updating import FullTrainingNeeded

# What the presets are made of, with a catalogue that is solved quickly.
QUICK_BLEND = Blend.Config(
    parts=tuple(
        Part(algorithm=part.algorithm, weight=part.weight, config={"dense_items": 2000} if part.algorithm in ("ease", "adjacent") else {})
        for part in Blend.Config().parts
    )
)


def history(*rows: dict[int, float], items: int) -> Histories:
    """One row a user: column to weight."""
    places = [(row, item, weight) for row, weights in enumerate(rows) for item, weight in weights.items()]
    users, columns, weights = zip(*places, strict=True) if places else ((), (), ())
    return Histories.from_events(users, columns, weights, shape=(len(rows), items))


def events(user_ids, item_ids, weights, *, catalogue=()) -> Interactions:
    return Interactions.from_events(user_ids, item_ids, weights, range(len(user_ids)), catalogue=catalogue)


def equal(found, expected) -> bool:
    return len(found) == len(expected) and all(
        np.array_equal(one.items, other.items) and np.array_equal(one.scores, other.scores)
        for one, other in zip(found, expected, strict=True)
    )


def rewrite(files, **changes):
    """The files with members of the manifest changed, as somebody would who knows the format."""
    return {**files, "model.json": json.dumps({**json.loads(files["model.json"]), **changes}).encode()}


@pytest.fixture(scope="class")
def model(request, drawn) -> Recommender:
    """A model of the algorithm of the class, trained on drawn tastes."""
    made = request.cls.algorithm()
    made.fit(drawn)
    return made


@pytest.fixture(scope="class")
def files(model) -> dict[str, bytes]:
    return model.save()


class RecommenderContract:
    algorithm: type[Recommender]
    is_personalized = True
    quick: Recommender.Config | None = None
    """Where the preset takes long on the real ratings: what to take there instead."""
    division = "division"
    """The fixture on which the quality is measured."""

    def fitted(self, interactions: Interactions) -> Recommender:
        made = self.algorithm()
        made.fit(interactions)
        return made

    def test_it_is_found_by_its_name(self):
        assert RECOMMENDERS[self.algorithm.name] is self.algorithm

    @pytest.mark.parametrize(
        "ask",
        [
            lambda model: model.recommend(history({0: 1}, items=3), count=1),
            lambda model: model.scores(history({0: 1}, items=3)),
            lambda model: model.speakers(history({0: 1}, items=3), np.zeros((1, 0), dtype=np.int32)),
            lambda model: model.is_personal(history({0: 1}, items=3)),
            lambda model: model.update(events([], [], []), since=0),
            lambda model: model.save(),
            lambda model: model.item_ids,
        ],
    )
    def test_asking_before_training_is_an_error_by_name(self, ask):
        assert not self.algorithm().is_fitted
        with pytest.raises(NotFitted, match=self.algorithm.name):
            ask(self.algorithm())

    def test_a_stranger_gets_the_popular_items_and_a_fan_is_served_personally(self, drawn, model, explain):
        asked = history({}, {0: 0.0}, {3: -1.0}, {0: 1.0, 2: 1.0}, items=40)
        assert model.is_personal(asked).tolist() == [False, False, False, self.is_personalized]
        popularity = drawn.popularity()
        rankings = model.recommend(asked, count=10)
        for row, seen in ((0, []), (1, [0]), (2, [3])):
            expected = [item for item in np.lexsort((np.arange(40), -popularity)) if item not in seen][:10]
            assert rankings[row].items.tolist() == expected
            assert rankings[row].scores.tolist() == popularity[expected].tolist()
        assert [len(speakers) for speakers in explain(model, asked, rankings)[0]] == [0] * 10

    def test_liking_only_what_nobody_liked_before_is_no_taste(self):
        model = self.fitted(events(["a", "a", "b"], ["x", "y", "x"], [1, 1, 1], catalogue=["new"]))
        asked = history({model.item_ids.index("new"): 1.0}, items=3)
        assert not model.is_personal(asked)[0]
        assert [model.item_ids[item] for item in model.recommend(asked, count=3)[0].items] == ["x", "y"]

    def test_what_was_seen_is_never_offered_and_the_rest_is_offered_whole(self, drawn, model):
        asked = drawn.histories()
        for ranking, row in zip(model.recommend(asked, count=1000), asked.matrix, strict=True):
            assert not set(ranking.items) & set(row.indices)
            assert len(ranking.items) == 40 - row.nnz == len(set(ranking.items))
            assert np.isfinite(ranking.scores).all()
            assert (np.diff(ranking.scores) <= 0).all()
            assert (ranking.items.dtype, ranking.scores.dtype) == (np.int32, np.float32)

    def test_the_lists_are_ordered_by_the_scores(self, drawn, model):
        asked = drawn.histories(np.arange(600) % 60)
        scores = model.scores(asked)
        assert (scores.shape, scores.dtype) == ((600, 40), np.float32)
        assert np.isfinite(scores).all()
        for ranking, of_user in zip(model.recommend(asked, count=5), scores, strict=True):
            assert ranking.scores == pytest.approx(of_user[ranking.items], rel=1e-5)

    def test_one_answer_says_what_its_questions_say_one_by_one(self, model):
        asked = history({}, {0: 1.0, 2: 1.0}, {1: -1.0}, {0: 1.0, 3: 0.5, 7: 0.0}, {5: 0.2}, items=40)
        exclude = np.arange(40) % 7 == 3
        answer = model.answer(asked)
        best = answer.best(count=9, exclude=exclude)
        rankings = model.recommend(asked, count=9, exclude=exclude)
        assert [row[:kept].tolist() for row, kept in zip(best.items, best.lengths, strict=True)] == [one.items.tolist() for one in rankings]
        assert np.array_equal(answer.speakers(best.items), model.speakers(asked, best.items))
        assert answer.scores == pytest.approx(model.scores(asked), rel=1e-5, abs=1e-6), "whatever was left out of a ranking"
        assert answer.scores_of([3, 0], np.array([1, 4])) == pytest.approx(model.scores(asked)[np.ix_([3, 0], [1, 4])], rel=1e-5, abs=1e-6)

    def test_who_has_seen_everything_gets_an_empty_list(self, model):
        (ranking,) = model.recommend(history(dict.fromkeys(range(40), 1.0), items=40), count=5)
        assert len(ranking.items) == len(ranking.scores) == 0

    def test_no_users_no_lists(self, drawn, model, explain):
        asked = drawn.histories([])
        assert model.recommend(asked, count=5) == explain(model, asked, []) == []

    def test_a_user_is_answered_alike_alone_and_in_a_batch(self, drawn, model):
        batch = model.recommend(drawn.histories(np.arange(1200) % 60), count=5)
        for row in (0, 17, 59):
            (alone,) = model.recommend(drawn.histories([row]), count=5)
            assert alone.items.tolist() == batch[row].items.tolist() == batch[row + 1140].items.tolist()

    def test_questions_that_do_not_fit_are_refused_by_name(self, model, explain):
        asked = history({0: 1.0}, items=40)
        with pytest.raises(MismatchedHistories, match="41 columns, the model has 40"):
            model.recommend(history({0: 1.0}, items=41), count=1)
        with pytest.raises(InvalidCount, match="0 recommendations"):
            model.recommend(asked, count=0)
        with pytest.raises(InvalidCount, match="0 reasons"):
            explain(model, asked, model.recommend(asked, count=1), count=0)
        with pytest.raises(MismatchedHistories, match="exclude"):
            model.recommend(asked, count=1, exclude=np.zeros(3, dtype=bool))
        with pytest.raises(MismatchedHistories, match="0 rankings do not belong to 1 histories"):
            explain(model, asked, [])

    def test_same_data_same_model(self, drawn, model, files):
        assert self.fitted(drawn).save() == files
        model_again = self.algorithm()
        model_again.fit(events(["a", "b"], ["x", "y"], [1, 1]))
        model_again.fit(drawn)
        assert model_again.save() == files

    def test_progress_reaches_the_end_and_may_stop_the_training(self, drawn):
        told: list[float] = []
        model = self.algorithm()
        model.fit(drawn, progress=lambda done, _note: told.append(done))
        assert told == sorted(told)
        assert (min(told) >= 0, max(told)) == (True, 1)
        before = model.save()

        def stop(_done: float, _note: str) -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError):
            model.fit(events(["a"], ["x"], [1]), progress=stop)
        assert model.save() == before

    def test_a_loaded_model_answers_like_the_saved_one(self, drawn, model, files, explain):
        loaded = load_recommender(files)
        assert type(loaded) is self.algorithm
        assert (loaded.item_ids, loaded.config) == (model.item_ids, model.config)
        asked = drawn.histories()
        rankings = model.recommend(asked, count=7)
        assert equal(loaded.recommend(asked, count=7), rankings)
        assert str(explain(loaded, asked, rankings)) == str(explain(model, asked, rankings))
        assert loaded.save() == files

    @pytest.mark.parametrize("name", ["arrays.npz", "model.json"])
    def test_files_that_were_cut_or_touched_are_refused(self, files, name):
        data = files[name]
        for damaged in (b"", data[: len(data) // 2], data[:-1], b"\x00" + data[1:], data + b"x"):
            with pytest.raises(DamagedModel, match=name):
                load_recommender({**files, name: damaged})
        with pytest.raises(DamagedModel, match=f"{name} missing"):
            load_recommender({other: files[other] for other in files if other != name})

    def test_a_manifest_that_contradicts_the_arrays_is_refused(self, files):
        manifest = json.loads(files["model.json"])
        for changes, message in (
            ({"item_ids": ["same"] * 40}, "item_ids are not to be here in format 2"),
            ({"arrays": {}}, "says None"),
            ({"arrays": {**manifest["arrays"], "popularity": {"shape": [41], "dtype": "<f4"}}}, "popularity"),
            ({"arrays": {**manifest["arrays"], "popularity": {"shape": [40], "dtype": "<f8"}}}, "popularity"),
            ({"arrays_sha256": "0" * 64}, "SHA-256"),
            ({"config": {**manifest["config"], "surprise": 1}}, "config.surprise"),
            ({"extra": 1}, "extra"),
        ):
            with pytest.raises(DamagedModel, match=message):
                load_recommender(rewrite(files, **changes))
        with pytest.raises(NewerModelFormat, match="format 3"):
            load_recommender(rewrite(files, format=3, extra=1))
        with pytest.raises(DamagedModel, match="made by"):
            self.algorithm.load(rewrite(files, algorithm="other"))

    def test_bad_data_is_refused_by_name(self):
        with pytest.raises(NothingToLearn):
            self.fitted(events([], [], []))
        with pytest.raises(NothingToLearn):
            self.fitted(events(["a", "b"], ["x", "x"], [0, -1], catalogue=["y"]))
        with pytest.raises(InvalidInteractions, match="not a finite number"):
            self.fitted(events(["a", "a"], ["x", "x"], [3e38, 3e38]))

    @pytest.mark.parametrize(
        ("interactions", "best"),
        [
            pytest.param(events(["a"], ["x"], [1]), None, id="one user, one item"),
            pytest.param(events(["a"] * 3, ["x", "y", "z"], [1, 1, 1]), None, id="one user"),
            pytest.param(events(["a", "b", "c"], ["x"] * 3, [1, 1, 1]), None, id="one item"),
            pytest.param(events([*"aaabbbccc"], [*"xyzxyzxyz"], [1] * 9), None, id="all equal"),
            pytest.param(events([*"aabbcc"] * 5, [*"xyxyxz"] * 5, [1] * 30), None, id="duplicates"),
            pytest.param(events(["a", *["b"] * 10_000], ["x", *["y", "x"] * 5000], [1, *[0.5] * 10_000]), None, id="10,000 of one user"),
            pytest.param(events([*"aab"], [*"xyx"], [1, 1, 1], catalogue=["1", "2", "zz"]), "y", id="items never met"),
            pytest.param(events([*"aab"], [*"xyx"], [1e-30, 1e-30, 1e-30]), "y", id="tiny weights"),
            pytest.param(events([*"aab"], [*"xyx"], [1e30, 1e30, 1e30]), "y", id="huge weights"),
            pytest.param(Interactions.from_events([*"aab"], [*"xyx"], [1] * 3, [4_000_000_000, 2**60, -1]), "y", id="times to come"),
        ],
    )
    def test_odd_data_is_learnt_from(self, interactions, best):
        model = self.fitted(interactions)
        asked = interactions.histories()
        rankings = model.recommend(asked, count=100)
        for ranking, row in zip(rankings, asked.matrix, strict=True):
            assert sorted([*ranking.items, *row.indices]) == list(range(len(model.item_ids)))
            assert np.isfinite(ranking.scores).all()
        if best is not None:
            assert model.item_ids[rankings[-1].items[0]] == best
        assert equal(load_recommender(model.save()).recommend(asked, count=100), rankings)

    def test_a_partial_training_is_held_to_its_contract_or_refused_by_name(self, drawn, files):
        assert self.algorithm.can_update == isinstance(self, PartialContract)
        if not self.algorithm.can_update:
            made = load_recommender(files)
            with pytest.raises(FullTrainingNeeded, match=f"{self.algorithm.name} has no partial training"):
                made.update(drawn, since=len(drawn))
            assert made.save() == files

    def test_the_memory_of_a_training_is_predicted(self):
        small, large = (self.algorithm.predicted_bytes(self.algorithm.Config(), users=n, items=n, events=100 * n) for n in (1_000, 5_000))
        assert 0 < 1.5 * small < large  # what a batch takes does not grow

    def test_quality_on_movielens_is_not_below_the_floor(self, request):
        division = request.getfixturevalue(self.division)
        model = self.algorithm(self.quick)
        model.fit(division.training)
        assert division.ndcg(lambda asked: model.recommend(asked, count=10)) >= self.algorithm.quality_floor


class PartialContract:
    """Beside `RecommenderContract`, for algorithms that can be brought up to date."""

    least_common = 0.7

    def test_a_partial_training_comes_close_to_a_full_one(self, drawn, model):
        """New events of old and new users, of old and new items; in the vocabulary the new ones stand between the old."""
        names = [f"item {n}" if n != 13 else "item 1 and a half" for n in range(40)]
        whole = Interactions.from_events(
            [drawn.user_ids[user] for user in drawn.users], [names[item] for item in drawn.items], drawn.weights, drawn.times
        )
        early = np.flatnonzero((drawn.items != 13) & (drawn.users < 57) & (np.arange(len(drawn)) % 20 > 0))
        order = np.r_[early, np.setdiff1d(np.arange(len(drawn)), early)]
        first = Interactions.from_events(
            *(
                [names[index] for index in ids]
                for names, ids in ((whole.user_ids, whole.users[early]), (whole.item_ids, whole.items[early]))
            ),
            whole.weights[early],
            whole.times[early],
        )
        made = self.fitted(first)
        told: list[float] = []
        made.update(whole.part(order), since=len(early), progress=lambda done, _note: told.append(done))
        assert (told == sorted(told), max(told)) == (True, 1)
        assert made.item_ids == whole.item_ids
        assert made._popularity == pytest.approx(whole.popularity(), abs=1e-4)
        expected = self.fitted(whole).recommend(whole.histories(), count=5)
        found = made.recommend(whole.histories(), count=5)
        common = [len(set(one.items) & set(other.items)) / 5 for one, other in zip(found, expected, strict=True)]
        assert np.mean(common) > self.least_common

    def test_a_partial_training_on_other_data_is_refused(self, drawn, files):
        made = load_recommender(files)
        with pytest.raises(FullTrainingNeeded, match="39 items that the model knows are gone"):
            made.update(events(["user 1"], ["item 1"], [1]), since=0)
        with pytest.raises(FullTrainingNeeded, match=f"interactions from {len(drawn) + 1} on"):
            made.update(drawn, since=len(drawn) + 1)
        assert made.save() == files

    def test_nothing_new_changes_nothing(self, drawn, model, files):
        made = load_recommender(files)
        made.update(drawn, since=len(drawn))
        assert equal(made.recommend(drawn.histories(), count=10), model.recommend(drawn.histories(), count=10))


class PersonalContract(RecommenderContract):
    least_reasons = 4
    """Of nine liked items; a stochastic training of so few events, with users regressed on them, has some that speak for nothing alike."""
    popular = Popular.quality_floor
    """The quality of popularity on that division."""

    def test_the_withheld_diagonal_of_a_checkerboard_is_found(self, explain):
        """Users like the items of their own parity; the one kept from each is offered first, because of the others."""
        size = 20
        users, distances = np.divmod(np.arange(size * (size // 2 - 1)), size // 2 - 1)
        items = (users + 2 + 2 * distances) % size  # in the order in which the withheld one would come next
        names = np.array([f"{n:02}" for n in range(size)])
        model = self.fitted(events(names[users].tolist(), names[items].tolist(), np.ones(len(users))))
        asked = history(*(dict.fromkeys(items[users == row].tolist(), 1.0) for row in range(size)), items=size)
        rankings = model.recommend(asked, count=3)
        assert [ranking.items[0] for ranking in rankings] == list(range(size))
        for row, reasons in enumerate(explain(model, asked, rankings, count=4)):
            assert self.least_reasons <= len(reasons[0]) <= 4
            assert all(item % 2 == row % 2 for item in reasons[0])

    def test_it_is_clearly_better_than_popular(self):
        assert self.algorithm.quality_floor > 1.5 * self.popular


class TestPopular(PartialContract, RecommenderContract):
    algorithm = Popular
    is_personalized = False


class TestItemKnn(PersonalContract):
    algorithm = ItemKnn


class TestAls(PartialContract, PersonalContract):
    algorithm = Als


class TestLightFm(PartialContract, PersonalContract):
    algorithm = LightFm
    least_reasons = 3


class TestEase(PartialContract, PersonalContract):
    algorithm = Ease
    quick = Ease.Config(dense_items=3000)


class TestSequential(PartialContract, PersonalContract):
    algorithm = Sequential
    quick = Sequential.Config(dense_items=2500)
    division = "next_division"
    popular = 0.0165


class TestAdjacent(PersonalContract):
    algorithm = Adjacent
    quick = Adjacent.Config(dense_items=2000)


class TestInfiniteAe(PersonalContract):
    algorithm = InfiniteAe


class TestRecurrent(PartialContract, PersonalContract):
    algorithm = Recurrent
    quick = Recurrent.Config(size=64, hidden=64, rate=0.004)
    least_reasons = 3  # with most seeds; four with some
    division = "next_division"
    popular = 0.016
    least_common = 0.3  # two full trainings that begin with other vectors have .44 in common


class TestBlend(PartialContract, PersonalContract):
    algorithm = Blend
    quick = QUICK_BLEND


class TestRerank(PartialContract, PersonalContract):
    algorithm = Rerank
    quick = Rerank.Config(parts=QUICK_BLEND.parts, candidates=60, rounds=30)


@pytest.fixture(scope="module")
def models(drawn) -> list[Recommender]:
    made = [algorithm() for algorithm in RECOMMENDERS.values()]
    for model in made:
        model.fit(drawn)
    return made


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_nothing_seen_or_excluded_escapes(models, data, explain):
    """Not in the class: Hypothesis wants one caller for one property."""
    model = data.draw(st.sampled_from(models))
    weights = st.floats(min_value=-(2.0**100), max_value=2.0**100, width=32)
    rows = data.draw(st.lists(st.dictionaries(st.integers(0, 39), weights, max_size=40), min_size=1, max_size=4))
    exclude = np.array(data.draw(st.lists(st.booleans(), min_size=40, max_size=40)))
    count = data.draw(st.integers(1, 50))
    asked = history(*rows, items=40)
    rankings = model.recommend(asked, count=count, exclude=exclude)
    for seen, ranking, reasons in zip(rows, rankings, explain(model, asked, rankings, count=2), strict=True):
        left = [item for item in range(40) if item not in seen and not exclude[item]]
        assert set(ranking.items.tolist()) <= set(left)
        assert len(ranking.items) == min(count, len(left))
        assert np.isfinite(ranking.scores).all()
        for speakers in reasons:
            assert len(speakers) <= 2
            assert all(seen[item] > 0 for item in speakers.tolist())


ALL_CASES = (
    TestPopular,
    TestItemKnn,
    TestAls,
    TestLightFm,
    TestEase,
    TestSequential,
    TestAdjacent,
    TestInfiniteAe,
    TestRecurrent,
    TestBlend,
    TestRerank,
)


def test_every_algorithm_is_held_to_the_contract():
    assert set(RECOMMENDERS.values()) == {case.algorithm for case in ALL_CASES}


def test_arrays_with_objects_are_refused_unread(drawn):
    """The one way npz can carry code is an array of objects; it is neither written nor read."""
    model = Popular()
    model.fit(drawn)
    files = model.save()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("popularity.npy", "w") as member:
        np.lib.format.write_array(member, np.array([print] * 40, dtype=object), allow_pickle=True)
    forged = rewrite({**files, "arrays.npz": buffer.getvalue()}, arrays_sha256=hashlib.sha256(buffer.getvalue()).hexdigest())
    with pytest.raises(DamagedModel, match="cannot be read"):
        load_recommender(forged)


class Broken(Popular):
    """Trains to numbers that are not finite."""

    name = "broken"

    def _fit(self, interactions, progress):
        return {"recent": np.full(len(interactions.item_ids), np.nan, dtype=np.float32)}


def test_a_training_that_ends_in_nan_is_refused(drawn):
    model = Broken()
    with pytest.raises(TrainingDiverged, match="broken: recent"):
        model.fit(drawn)
    assert not model.is_fitted


class Talkative(Popular):
    """Says of every item of the history how much it adds: its column, less in the first half of the ranked items."""

    name = "talkative"

    def _find_personal(self, histories):
        return np.ones(len(histories), dtype=bool)

    def _contributions(self, history, ranked):
        return history.matrix.indices[None, :] - np.where(np.arange(len(ranked)) < len(ranked) / 2, 20.0, 0.0)[:, None]


def test_only_liked_items_that_add_something_are_reasons(drawn, explain):
    model = Talkative()
    model.fit(drawn)
    asked = history({0: 1.0, 5: 1.0, 9: 0.5, 12: -1.0, 30: 0.0, 25: 1.0, 39: -0.1}, items=40)
    reasons = explain(model, asked, model.recommend(asked, count=4), count=3)[0]
    assert [speakers.tolist() for speakers in reasons] == [[25], [25], [25, 9, 5], [25, 9, 5]]
