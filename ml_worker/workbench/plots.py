"""Draws a report: which model is how good, for whom, how far down the list, and what it costs in variety."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ml_worker.workbench.report import Cut, ModelResult, Number, Report
from ml_worker.workbench.writing import title

# Okabe and Ito (2008): told apart with any colour vision.
COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#999933")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
STYLE: Final[Any] = {  # matplotlib's own type of it names every key there is
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "font.size": 10,
    "svg.hashsalt": "marquee",  # the same report makes the same file
}
CUTOFFS_DRAWN: Final = ("ndcg", "recall", "hr")


def draw(report: Report, folder: Path) -> list[Path]:
    """Every plot as PNG and SVG in the folder, which is made; the files written. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    plots: dict[str, Callable[[Report], Figure]] = {
        "models": _models,
        "history": _history,
        "cutoffs": _cutoffs,
        "variety": _variety,
    }
    written = []
    with mpl.rc_context(STYLE):
        for name, plot in plots.items():
            figure = plot(report)
            for form in ("png", "svg"):
                path = folder / f"{name}.{form}"
                figure.savefig(path, dpi=150, bbox_inches="tight", metadata={"Date": None} if form == "svg" else None)
                written.append(path)
    return written


def _models(report: Report) -> Figure:
    models = sorted(report.models, key=lambda model: _mean(model.metrics["ndcg@10"]))
    figure, axes = _figure(height=1.2 + 0.42 * len(models))
    for place, model in enumerate(models):
        number, (colour, marker) = model.metrics["ndcg@10"], _look(report, model)
        axes.errorbar(_mean(number), place, xerr=_bars([number]), color=colour, marker=marker, capsize=3)
    axes.set_yticks(range(len(models)), [model.name for model in models])
    axes.set_xlabel("NDCG@10, mean over users with 95 % interval")
    axes.set_xlim(left=0)
    return figure


def _history(report: Report) -> Figure:
    figure, axes = _figure()
    names = [f"{cut.name}\n({cut.questions:,})" for cut in report.models[0].by_history]
    for shift, model in enumerate(report.models):
        places = [place + 0.06 * (shift - len(report.models) / 2) for place in range(len(names))]
        _line(axes, report, model, places, [_of(cut) for cut in model.by_history])
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("events known of the user (questions)")
    axes.set_ylabel("NDCG@10")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def _cutoffs(report: Report) -> Figure:
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(CUTOFFS_DRAWN)), CUTOFFS_DRAWN, strict=True):
        for model in report.models:
            lengths = sorted(int(name.partition("@")[2]) for name in model.coverage)
            _line(axes, report, model, lengths, [model.metrics[f"{metric}@{k}"] for k in lengths])
        axes.set_xticks(lengths)
        axes.set_xlabel("k")
        axes.set_title(title(f"{metric}@k"))
        axes.set_ylim(bottom=0)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _variety(report: Report) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for model in report.models:
        colour, marker = _look(report, model)
        number = model.metrics["ndcg@10"]
        for axes, value in ((left, model.coverage["coverage@10"]), (right, _mean(model.metrics["novelty@10"]))):
            axes.errorbar(value, _mean(number), yerr=_bars([number]), color=colour, marker=marker, capsize=3)
            axes.annotate(model.name, (value, _mean(number)), xytext=(6, 5), textcoords="offset points", fontsize=9)
    left.set_xlabel("coverage@10: share of the catalogue in some list")
    right.set_xlabel("novelty@10: bits; popular items have few")
    left.set_ylabel("NDCG@10")
    left.set_ylim(bottom=0)
    return figure


def _figure(height: float = 4.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, height), layout="constrained")
    return figure, figure.subplots()


def _line(axes: Axes, report: Report, model: ModelResult, places: Sequence[float], numbers: Sequence[Number]) -> None:
    colour, marker = _look(report, model)
    means = [_mean(number) for number in numbers]
    axes.errorbar(places, means, yerr=_bars(numbers), color=colour, marker=marker, capsize=2, linewidth=1.2, label=model.name)


def _look(report: Report, model: ModelResult) -> tuple[str, str]:
    place = report.models.index(model)
    return COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]


def _of(cut: Cut) -> Number:
    return cut.metrics["ndcg@10"]


def _mean(number: Number) -> float:
    return float("nan") if number.mean is None else number.mean


def _bars(numbers: Sequence[Number]) -> list[list[float]]:
    """How far the intervals reach down and up from the means."""
    return [
        [0.0 if number.low is None else _mean(number) - number.low for number in numbers],
        [0.0 if number.high is None else number.high - _mean(number) for number in numbers],
    ]
