"""`marquee evaluate`: compares models on given files or on a data set."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from rich.console import Console

from ml_worker.choice.choose import choose
from ml_worker.evaluation.splits import Protocol
from ml_worker.recommenders.base import Recommender
from ml_worker.recommenders.interactions import Interactions
from ml_worker.workbench.asking import AskedWrongly, check_plots, check_writable, draw_plots
from ml_worker.workbench.bars import Stages, drawn_stages
from ml_worker.workbench.contenders import DEFAULT, InvalidContender, contender, named, parameters
from ml_worker.workbench.contest import Contest, Prepared
from ml_worker.workbench.given import Given, Values, read_given
from ml_worker.workbench.report import Report, make_report
from ml_worker.workbench.source import DESCRIPTIONS, PROTOCOLS, AnySplit, divide, read_interactions
from ml_worker.workbench.writing import choices, terminal_table, write_json, write_lists, write_markdown

CHOICE_SECONDS: Final = 360.0
"""With reading, the training of what was chosen and the lists it stays under a quarter of an hour for a million events on two cores, also
where others use them too."""

Prepare = Callable[[], Prepared]
"""Chooses or makes an untrained model."""


def evaluate(
    *,
    train: Annotated[Path | None, typer.Option(help="Events to learn from: user, item, value, timestamp; tab or comma.")] = None,
    test: Annotated[Path | None, typer.Option(help="Events to be found, in the same form.")] = None,
    valid: Annotated[Path | None, typer.Option(help="Events to choose by; without it a part of --train is cut off for that.")] = None,
    data: Annotated[str | None, typer.Option(metavar="PATH_OR_URL", help="A MovieLens folder, archive or address instead.")] = None,
    split: Annotated[AnySplit, typer.Option(help="How --data is divided.")] = "time",
    models: Annotated[
        str, typer.Option(help="Names with commas; `default` is chosen as an instance would. Popular and item-kNN are always compared.")
    ] = DEFAULT,
    parameter: Annotated[list[str] | None, typer.Option("--set", metavar="MODEL.FIELD=VALUE", help="A parameter; repeatable.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Length of the lists in --out.")] = 50,
    out: Annotated[Path | None, typer.Option(help="Write the lists of the first model: user,item,rank,score.")] = None,
    protocol: Annotated[Protocol | None, typer.Option(help="What the test asks for. Default: found from times and counts.")] = None,
    values: Annotated[Values, typer.Option(help="Whether all positive lines of --train speak equally, or by their value.")] = "equal",
    report: Annotated[Path | None, typer.Option(help="Write everything as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables as Markdown.")] = None,
    plots: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Draw the plots into this folder, PNG and SVG.")] = None,
    budget: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Time for choosing `default`.")] = CHOICE_SECONDS,
    seed: Annotated[int, typer.Option(min=0, help="Of random splits and intervals.")] = 0,
) -> None:
    """Train models, let them rank the full catalogue for every user of the test, and measure the lists with 95 % intervals."""
    check_writable(out, report, markdown)
    check_plots(plots)
    settings = parameters(parameter or [])
    contenders = named(models)
    made = {name: contender(name, settings.pop(name, {})) for name in contenders if name != DEFAULT}
    if settings:
        raise InvalidContender(f"--set names {', '.join(settings)}, which is not among the models with parameters: {', '.join(made)}")
    with drawn_stages() as stages:
        given = _given(data, (train, test, valid), split=split, protocol=protocol, values=values, seed=seed, stages=stages)
        source = data if data is not None else f"{train} and {test}"
        default = chosen(given, budget=budget, seed=seed, stages=stages)
        prepared = {name: default if name == DEFAULT else ready(made[name]) for name in contenders}
        outcome, best = compare(given, prepared, source=source, seed=seed, stages=stages)
        if out is not None:
            write_lists(out, best, given.split.train, given.asked, count=top, progress=stages(f"writing {out.name}"))
    if report is not None:
        write_json(report, outcome)
    if markdown is not None:
        write_markdown(markdown, outcome)
    if plots is not None:
        draw_plots(outcome, plots)
    shown = Console(highlight=False, markup=False, soft_wrap=True)
    for line in (*outcome.notes, f"split: {outcome.split}", ""):
        shown.print(line)
    shown.print(terminal_table(outcome))
    for line in choices(outcome):
        shown.print(line)


def compare(given: Given, contenders: Mapping[str, Prepare], *, source: str, seed: int, stages: Stages) -> tuple[Report, Recommender]:
    """The report on these models by name, in this order, and the first of them, trained. Raises what choosing and training raise."""
    contest = Contest.of(given.split)
    entries = [contest.enter(name, prepare, stages=stages) for name, prepare in contenders.items()]
    split = f"{given.protocol} ({given.why})"
    return make_report(contest, entries, source=source, split=split, notes=given.notes, seed=seed), entries[0].recommender


def divided(whole: Interactions, split: AnySplit, *, seed: int, protocol: Protocol | None = None) -> Given:
    """The test that this split of a data set makes. Raises `CannotSplit`."""
    made = divide(whole, split, seed=seed)
    return Given(made, None, protocol or PROTOCOLS[split], f"{split}: {DESCRIPTIONS[split]}", np.unique(made.test.rows), ())


def ready(recommender: Recommender) -> Prepare:
    """A model whose parameters are given."""
    return lambda: Prepared(recommender)


def chosen(given: Given, *, budget: float, seed: int, stages: Stages) -> Prepare:
    """What an instance with this training data would serve: chosen on a part cut from it, or on the validation file."""

    def prepare() -> Prepared:
        choice = choose(
            given.split.train,
            protocol=given.protocol,
            budget_seconds=budget,
            validation=given.validation,
            progress=stages(f"{DEFAULT}: choosing"),
            seed=seed,
        )
        return Prepared(choice.recommender, choice.report)

    return prepare


def _given(
    data: str | None,
    files: tuple[Path | None, Path | None, Path | None],
    *,
    split: AnySplit,
    protocol: Protocol | None,
    values: Values,
    seed: int,
    stages: Stages,
) -> Given:
    """The test that the options ask for."""
    train, test, valid = files
    if data is None:
        if train is None or test is None:
            raise AskedWrongly("give --train FILE and --test FILE, or --data PATH_OR_URL")
        stages("reading")(0.0, f"{train} and {test}")
        return read_given(train, test, valid, protocol=protocol, values=values)
    if train is not None or test is not None or valid is not None:
        raise AskedWrongly("give either --data or files with --train and --test, not both")
    return divided(read_interactions(data, progress=stages("reading")), split, seed=seed, protocol=protocol)
