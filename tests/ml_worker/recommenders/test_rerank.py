"""What is particular to the second stage: a first stage that was trained before is taken over, and only where it fits."""

import pytest

from ml_worker.recommenders.blend import Blend, Part
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.lessons import make_lesson
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
