"""Every plot is drawn, also of models that lack numbers, and the same report makes the same file."""

from datetime import UTC, datetime

import pytest

from ml_worker.evaluation.metrics import ACCURACY, CUTOFFS
from ml_worker.workbench.asking import AskedWrongly, check_plots
from ml_worker.workbench.plots import draw
from ml_worker.workbench.report import Cut, Data, ModelResult, Number, Report


def model(name: str, level: float) -> ModelResult:
    number = Number(mean=level, low=level - 0.02, high=level + 0.02)
    metrics = {f"{metric}@{k}": number for metric in (*ACCURACY, "novelty", "diversity") for k in CUTOFFS}
    alone = Number(mean=level, low=None, high=None)
    return ModelResult(
        name=name,
        algorithm=name,
        config={},
        choosing_seconds=0,
        training_seconds=1,
        ranking_seconds=1,
        metrics=metrics,
        coverage={f"coverage@{k}": level for k in CUTOFFS},
        against={},
        cuts=[],
        by_history=[Cut(name="1–4", questions=1, metrics={"ndcg@10": alone}), Cut(name="5+", questions=9, metrics={"ndcg@10": number})],
        choice=None,
    )


@pytest.fixture
def report() -> Report:
    data = Data(users=1, items=1, offered_items=1, interactions=1, questions=1, questions_without_history=0, asked_users=1, held_out=1)
    made_at = datetime(2026, 1, 1, tzinfo=UTC)
    models = [model("one", 0.3), model("another", 0.2)]
    return Report(made_at=made_at, source="x", split="random", notes=[], seed=0, data=data, models=models)


def test_plots_are_drawn_as_png_and_svg(report, tmp_path):
    written = draw(report, tmp_path / "new" / "plots")
    assert {path.name for path in written} == {
        f"{name}.{form}" for name in ("models", "history", "cutoffs", "variety") for form in ("png", "svg")
    }
    assert all(path.read_bytes().startswith(b"\x89PNG" if path.suffix == ".png" else b"<?xml") for path in written)
    again = draw(report, tmp_path / "again")
    assert [path.read_bytes() for path in written if path.suffix == ".svg"] == [
        path.read_bytes() for path in again if path.suffix == ".svg"
    ]


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "plots").write_text("")
    with pytest.raises(AskedWrongly, match="is not a folder to draw plots into"):
        check_plots(tmp_path / "plots")
