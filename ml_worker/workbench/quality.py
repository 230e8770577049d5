"""Makes docs/quality.md anew: `python -m ml_worker.workbench.quality PATH_OR_URL docs/quality.md`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, get_args

import typer

from ml_worker.recommenders.base import Progress
from ml_worker.recommenders.registry import RECOMMENDERS
from ml_worker.workbench.asking import check_writable
from ml_worker.workbench.bars import Stages, drawn_stages
from ml_worker.workbench.contenders import DEFAULT, contender, named
from ml_worker.workbench.evaluate import chosen, compare, divided, ready
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
    page.write_text("\n".join(_page(Path(source).name, reports)) + "\n", encoding="utf-8")


def _reports(source: str, names: list[str], budget: float, stages: Stages) -> dict[str, Report]:
    whole = read_interactions(source, progress=stages("reading"))
    reports = {}
    for split in SHOWN_SPLITS:

        def open_stage(name: str, split: str = split) -> Progress:
            return stages(f"{split}, {name}")

        given = divided(whole, split, seed=SEED)
        default = chosen(given, budget=budget, seed=SEED, stages=open_stage)
        contenders = {name: default if name == DEFAULT else ready(contender(name, {})) for name in names}
        reports[split], _ = compare(given, contenders, source=source, seed=SEED, stages=open_stage)
    return reports


def _page(name: str, reports: dict[str, Report]) -> list[str]:
    lines = [
        "# Quality",
        "",
        f"Every model on {name}, made on {datetime.now(UTC):%Y-%m-%d} by one command:",
        "",
        f"    python -m ml_worker.workbench.quality {name} docs/quality.md",
        "",
        "Models are trained with their presets; `default` is chosen on a part held out of the training data. Nothing has seen the test.",
        "What the numbers mean, and how to run any other split, also of files of your own, is in [how to evaluate](how-to/evaluate.md).",
        "The seconds are of whatever machine made the page. The data set is small: look at the intervals before you look at the means.",
    ]
    for split, report in reports.items():
        lines += ["", f"## {HEADINGS[split]}", "", *markdown(report)[2:]]
    return lines


if __name__ == "__main__":
    typer.run(quality)
