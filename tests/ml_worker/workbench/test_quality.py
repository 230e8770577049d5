"""What the page of quality says of the default and its best part."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ml_worker.workbench.contenders import BEST_PART, DEFAULT
from ml_worker.workbench.quality import verdict
from ml_worker.workbench.report import Data, ModelResult, Number, Report

EASE = {"algorithm": "ease", "config": {"ridge": 100.0}, "weight": 1.0}
ALS = {"algorithm": "als", "config": {}, "weight": 0.5}
UNUSED = {**ALS, "weight": 0.0}


def report(*, parts: list[dict[str, Any]], served: float, high: float | None, algorithm: str = "blend") -> Report:
    """A default of these parts that had `served` where it was chosen, where EASE alone had .30, and the differences on the test."""
    choice = {
        "candidates": [
            {"algorithm": "ease", "parameters": {"ridge": 100.0}, "ndcg@10": 0.30, "is_part": True},
            {"algorithm": "ease", "parameters": {"ridge": 90.0}, "ndcg@10": 0.32, "is_part": False},
            {"algorithm": "als", "parameters": {}, "ndcg@10": 0.25, "is_part": True},
        ],
        "parameters": {"parts": parts},
        "blend": {"ndcg@10": served},
        "rerank": {"ndcg@10": served},
    }
    made = ModelResult(
        name=DEFAULT,
        algorithm=algorithm,
        config={},
        choosing_seconds=0,
        training_seconds=0,
        ranking_seconds=0,
        metrics={},
        coverage={},
        against={BEST_PART: {"ndcg@10": Number(mean=0.0, low=-0.01, high=high)}},
        cuts=[],
        by_history=[],
        choice=choice,
    )
    data = Data(users=1, items=1, offered_items=1, interactions=1, questions=1, questions_without_history=0, asked_users=1, held_out=1)
    return Report(made_at=datetime.now(UTC), source="", split="time", notes=[], seed=0, data=data, models=[made])


@pytest.mark.parametrize(
    ("made", "found"),
    [
        pytest.param(report(parts=[EASE, ALS], served=0.31, high=0.02), "as good", id="better where chosen, not worse on the test"),
        pytest.param(report(parts=[EASE, ALS], served=0.31, high=-0.001), "WORSE", id="worse on the test"),
        pytest.param(report(parts=[EASE, ALS], served=0.29, high=0.02), "WORSE", id="worse where chosen"),
        pytest.param(report(parts=[EASE, ALS], served=0.30, high=None), "as good", id="too few users to say"),
        pytest.param(report(parts=[EASE, UNUSED], served=0.299, high=-0.001), "the same model", id="all the weight on the best part"),
        pytest.param(report(parts=[UNUSED, EASE], served=0.30, high=0.0), "the same model", id="in another order"),
        pytest.param(report(parts=[ALS], served=0.29, high=0.0), "WORSE", id="all the weight on another part"),
        pytest.param(
            report(parts=[{**EASE, "config": {"ridge": 200.0}}], served=0.31, high=0.0), "as good", id="the best part with other parameters"
        ),
        pytest.param(report(parts=[EASE], served=0.31, high=0.0, algorithm="rerank"), "as good", id="with a second stage"),
    ],
)
def test_the_default_is_held_against_its_best_part(made, found):
    assert verdict(made).startswith("Default against best part (ease), NDCG@10: ")
    assert verdict(made).endswith(f" on the test: {found}.")


def test_without_a_default_or_a_best_part_nothing_is_said():
    made = report(parts=[EASE], served=0.3, high=0.0)
    assert verdict(made.model_copy(update={"models": []})) == ""
    alone = made.models[0].model_copy(update={"against": {}})
    assert verdict(made.model_copy(update={"models": [alone]})) == ""
