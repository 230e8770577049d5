"""Writes what an evaluation found: lists as CSV, the report as JSON and Markdown, a table for the terminal."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from ml_worker.evaluation.lists import TILE_QUESTIONS
from ml_worker.recommenders.base import Progress, Recommender
from ml_worker.recommenders.interactions import Interactions
from ml_worker.workbench.report import Cut, ModelResult, Number, Report

SHOWN = ("ndcg@10", "recall@20", "hr@10", "mrr@10", "map@10")
BEYOND = ("novelty@10", "diversity@10")
TITLES = {
    "ndcg": "NDCG", "recall": "recall", "capped_recall": "capped recall", "hr": "HR", "mrr": "MRR", "map": "MAP",
    "novelty": "novelty", "diversity": "diversity", "coverage": "coverage",
}  # fmt: skip


def title(metric: str) -> str:
    """`ndcg@10` as it is printed: `NDCG@10`."""
    name, _, k = metric.partition("@")
    return f"{TITLES[name]}@{k}"


def write_lists(
    path: Path, recommender: Recommender, train: Interactions, rows: NDArray[np.int64], *, count: int, progress: Progress
) -> int:
    """One list for the user of each row, `user,item,rank,score` with ranks from 1; the number of lists. Raises `OSError`.

    The file is there when all of it is.
    """
    histories = train.histories()
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["user", "item", "rank", "score"])
        for start in range(0, len(rows), TILE_QUESTIONS):
            asked = rows[start : start + TILE_QUESTIONS]
            for row, (items, scores) in zip(asked, recommender.recommend(histories.take(asked), count=count), strict=True):
                user = train.user_ids[row]
                entries = zip(items.tolist(), scores.tolist(), strict=True)
                writer.writerows((user, train.item_ids[item], rank, f"{score:.6g}") for rank, (item, score) in enumerate(entries, 1))
            progress((start + len(asked)) / len(rows), f"{start + len(asked):,} of {len(rows):,} lists")
    unfinished.replace(path)
    return len(rows)


def write_json(path: Path, report: Report) -> None:
    """The whole report. Raises `OSError`."""
    path.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")


def write_markdown(path: Path, report: Report) -> None:
    """The report as tables. Raises `OSError`."""
    path.write_text("\n".join(markdown(report)) + "\n", encoding="utf-8")


def markdown(report: Report) -> list[str]:
    """The lines of the report as Markdown."""
    data = report.data
    asked = f"{data.questions:,} questions to {data.asked_users:,} users"
    offered = "Full catalogue" if data.offered_items == data.items else f"Only {data.offered_items:,} of the items offered"
    return [
        f"# {report.source}",
        "",
        f"{report.made_at:%Y-%m-%d}. Split: {report.split}. Learnt from {data.interactions:,} interactions of {data.users:,} users with a "
        f"catalogue of {data.items:,} items; {asked}, {data.held_out:,} items to find. {offered}, nothing the user had before. "
        f"Brackets: 95 % bootstrap interval over users (seed {report.seed}).",
        "",
        *(f"* {note}" for note in (*report.notes, *choices(report))),
        *([""] if report.notes or choices(report) else []),
        *_table(["model", *map(title, SHOWN), "coverage@10", *map(title, BEYOND), "train s"], map(_row, report.models)),
        "",
        *_against(report),
        "",
        "By kind of user and item, NDCG@10:",
        "",
        *_cut_table(report, lambda model: model.cuts),
        "",
        "By the number of events known of the user, NDCG@10:",
        "",
        *_cut_table(report, lambda model: model.by_history),
    ]


def terminal_table(report: Report) -> Table:
    """The main table for people, no wider than a terminal."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("model", no_wrap=True)
    for heading in ("NDCG@10", "95 %", "recall@20", "HR@10", "coverage@10", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for model in report.models:
        first = model.metrics[SHOWN[0]]
        others = (_plain(model.metrics[name].mean) for name in ("recall@20", "hr@10"))
        seconds = model.choosing_seconds + model.training_seconds + model.ranking_seconds
        span = f"{_plain(first.low)}–{_plain(first.high)}"
        table.add_row(model.name, _plain(first.mean), span, *others, _plain(model.coverage["coverage@10"]), f"{seconds:.1f}")
    return table


def choices(report: Report) -> list[str]:
    """What was chosen where something was, in a line each."""
    lines = []
    for model in report.models:
        if model.choice is not None:
            weights = model.choice.get("weights", {})
            parts = ", ".join(f"{family} {weight:.2f}" for family, weight in weights.items() if weight)
            lines.append(f"{model.name} is {model.algorithm}{f' of {parts}' if parts else ''}: {model.choice.get('why', '')}")
    return lines


def _row(model: ModelResult) -> list[str]:
    accuracy = [_bracketed(model.metrics[name]) for name in SHOWN]
    beyond = [_plain(model.metrics[name].mean) for name in BEYOND]
    return [model.name, *accuracy, _plain(model.coverage["coverage@10"]), *beyond, f"{model.training_seconds:.1f}"]


def _against(report: Report) -> list[str]:
    baselines = list(dict.fromkeys(name for model in report.models for name in model.against))
    if not baselines:
        return []
    rows = ([model.name, *(_difference(model, name) for name in baselines)] for model in report.models)
    heading = "NDCG@10 minus that of the baseline, paired by user:"
    return [heading, "", *_table(["model", *(f"− {name}" for name in baselines)], rows)]


def _difference(model: ModelResult, baseline: str) -> str:
    found = model.against.get(baseline)
    return "" if found is None else _bracketed(found[SHOWN[0]])


def _cut_table(report: Report, cuts_of: Callable[[ModelResult], list[Cut]]) -> list[str]:
    names = [f"{cut.name} ({cut.questions:,})" for cut in cuts_of(report.models[0])]
    rows = ([model.name, *(_bracketed(cut.metrics[SHOWN[0]]) for cut in cuts_of(model))] for model in report.models)
    return _table(["model", *names], rows)


def _table(headings: list[str], rows: Iterable[list[str]]) -> list[str]:
    ruler = ["---", *("---:" for _ in headings[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (headings, ruler, *rows)]


def _bracketed(number: Number) -> str:
    return f"{_plain(number.mean)} [{_plain(number.low)}, {_plain(number.high)}]"


def _plain(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"
