"""Makes docs/quality.md anew: `python -m ml_worker.workbench.quality PATH_OR_URL docs/quality.md`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import typer

from ml_worker.recommenders.base import Progress
from ml_worker.recommenders.registry import RECOMMENDERS
from ml_worker.workbench.asking import check_writable
from ml_worker.workbench.bars import Stages, drawn_stages
from ml_worker.workbench.contenders import BEST_PART, DEFAULT, best_alone, contender, named
from ml_worker.workbench.contest import Prepared
from ml_worker.workbench.evaluate import Prepare, chosen, compare, divided, ready
from ml_worker.workbench.report import Report
from ml_worker.workbench.source import SplitName, read_interactions
from ml_worker.workbench.writing import markdown

SEED: Final = 0
SHOWN_SPLITS: Final = tuple(split for split in get_args(SplitName) if split != "replay")
HEADINGS: Final = {"time": "By time", "last": "The last of each user", "random": "At random"}


def quality(
    source: Annotated[str, typer.Argument(metavar="PATH_OR_URL", help="A MovieLens folder, archive or address.")],
    page: Annotated[Path, typer.Argument(help="The Markdown file to write.")],
    *,
    models: Annotated[str, typer.Option(help="Names with commas.")] = ",".join([DEFAULT, *RECOMMENDERS]),
    budget: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Time for choosing `default`, for each split.")] = 120,
) -> None:
    """Compare the models on every split of a data set and write the page."""
    check_writable(page)
    with drawn_stages() as stages:
        reports = _reports(source, named(models), budget, stages)
    page.write_text("\n".join(_page(Path(source).name, budget, reports)) + "\n", encoding="utf-8")
    for split, report in reports.items():
        typer.echo(f"{split}: {verdict(report)}")


def _reports(source: str, names: list[str], budget: float, stages: Stages) -> dict[str, Report]:
    whole = read_interactions(source, progress=stages("reading"))
    reports = {}
    for split in SHOWN_SPLITS:

        def open_stage(name: str, split: str = split) -> Progress:
            return stages(f"{split}, {name}")

        given = divided(whole, split, seed=SEED)
        default = chosen(given, budget=budget, seed=SEED, stages=open_stage)
        contenders = _contenders(names, default)
        reports[split], _ = compare(given, contenders, source=source, seed=SEED, stages=open_stage)
    return reports


def _contenders(names: list[str], default: Prepare) -> dict[str, Prepare]:
    """The models by name; beside the default what was best alone where it was chosen, to see whether a blend pays."""
    chosen_by: list[Mapping[str, Any]] = []

    def prepare() -> Prepared:
        prepared = default()
        chosen_by.append(prepared.choice or {"candidates": []})
        return prepared

    def best_part() -> Prepared:
        best = best_alone(chosen_by[0])
        return Prepared(contender(best["algorithm"], best["parameters"]))

    made: dict[str, Prepare] = {}
    for name in names:
        made |= {DEFAULT: prepare, BEST_PART: best_part} if name == DEFAULT else {name: ready(contender(name, {}))}
    return made


def verdict(report: Report) -> str:
    """Whether the default is as good as its best part, where it was chosen and on the test; empty without a default.

    On the test it is if 0 is not above the 95 % interval of the paired differences. Where one part has all the weight, both are the same
    model; where it was chosen its number may still differ in what comes first among items of equal score.
    """
    models = {model.name: model for model in report.models}
    default = models.get(DEFAULT)
    if default is None or default.choice is None or BEST_PART not in default.against or not default.choice["candidates"]:
        return ""
    best = best_alone(default.choice)
    served = default.choice["rerank" if default.algorithm == "rerank" else "blend"]["ndcg@10"]
    differs = default.against[BEST_PART]["ndcg@10"]
    holds = served >= best["ndcg@10"] and (differs.high is None or differs.high >= 0)
    counted = [part for part in default.choice["parameters"].get("parts", ()) if part["weight"] > 0]
    is_same = default.algorithm == "blend" and [(part["algorithm"], part["config"]) for part in counted] == [
        (best["algorithm"], best["parameters"])
    ]
    found = "the same model" if is_same else "as good" if holds else "WORSE"
    return (
        f"Default against best part ({best['algorithm']}), NDCG@10: {served:.4f} against {best['ndcg@10']:.4f} where it was chosen, "
        f"{differs.mean or 0:+.4f} [{differs.low or 0:+.4f}, {differs.high or 0:+.4f}] on the test: {found}."
    )


def _page(name: str, budget: float, reports: dict[str, Report]) -> list[str]:
    lines = [
        "# Quality",
        "",
        f"Every model on {name}, made on {datetime.now(UTC):%Y-%m-%d} by one command:",
        "",
        f"    python -m ml_worker.workbench.quality {name} docs/quality.md --budget {budget:g}",
        "",
        "Models are trained with their presets; `default` is chosen on a part held out of the training data, and `best part` is what was",
        "best alone there. Nothing has seen the test.",
        "What the numbers mean, and how to run any other split, also of files of your own, is in [how to evaluate](how-to/evaluate.md).",
        "The seconds are of whatever machine made the page. The data set is small: look at the intervals before you look at the means.",
    ]
    for split, report in reports.items():
        lines += ["", f"## {HEADINGS[split]}", "", *([found, ""] if (found := verdict(report)) else []), *markdown(report)[2:]]
    return lines


if __name__ == "__main__":
    typer.run(quality)
