"""What is particular to the second stage: a first stage that was trained before is taken over, and only where it fits."""

import pytest

from ml_worker.recommenders.blend import Blend, Part
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.lessons import make_lesson
from ml_worker.recommenders.recurrent import Recurrent
from ml_worker.recommenders.rerank import Early, Rerank

CONFIG = Rerank.Config(parts=(Part(algorithm="ease"), Part(algorithm="popular", weight=0.1)), task="next", candidates=30, rounds=10)


def early(interactions: Interactions, config: Blend.Config) -> Early:
    first = Blend(config)
    first.fit(make_lesson(interactions, "next", depth=CONFIG.depth).train)
    return Early(interactions, first)


@pytest.fixture(scope="module")
def files(drawn) -> dict[str, bytes]:
    model = Rerank(CONFIG)
    model.fit(drawn)
    return model.save()


def notes(model: Rerank, interactions: Interactions) -> list[str]:
    told: list[str] = []
    model.fit(interactions, progress=lambda _done, note: told.append(note))
    return [note for note in told if note.startswith("without what is held out")]


def test_a_first_stage_trained_before_makes_the_same_model_in_less_time(drawn, files):
    model = Rerank(CONFIG, early=early(drawn, CONFIG.first()))
    assert notes(model, drawn) == []
    assert model.save() == files


def test_its_parts_go_on_from_the_first_stage_of_the_trees(drawn):
    """The network is the one that learnt without what is held out, and then from everything."""
    network = {"size": 8, "hidden": 12, "decays": [0.0, 0.5]}
    config = CONFIG.model_copy(update={"parts": (Part(algorithm="recurrent", config=network), Part(algorithm="popular", weight=0.1))})
    start, model, expected = early(drawn, config.first()).first, Rerank(config), Recurrent(Recurrent.Config(**network))
    model.fit(drawn)
    expected.fit(drawn, start=start.parts[0])
    (found, _) = model._first.parts
    assert {name: found._weights[name].tolist() for name in found._weights} == {
        name: expected._weights[name].tolist() for name in expected._weights
    }


def test_it_serves_one_training(drawn, files):
    model = Rerank(CONFIG, early=early(drawn, CONFIG.first()))
    for _ in range(2):
        model.fit(drawn)
    assert notes(model, drawn)
    assert model.save() == files


def test_one_of_other_interactions_is_left_alone(drawn):
    fewer = drawn.part(range(0, len(drawn), 2))
    model = Rerank(CONFIG, early=early(drawn, CONFIG.first()))
    assert notes(model, fewer)
