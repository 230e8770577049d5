"""`marquee evaluate`: compares models on given files or on a data set, without a server or a database."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from rich.console import Console

from datasets.problems import DatasetUnusable
from ml_worker.evaluation.splits import CannotSplit, Protocol
from ml_worker.recommenders.base import NothingToLearn, Recommender, TrainingDiverged
from ml_worker.recommenders.interactions import InvalidInteractions
from ml_worker.recommenders.registry import RECOMMENDERS, UnknownAlgorithm
from ml_worker.workbench.bars import Stages, drawn_stages
from ml_worker.workbench.contenders import InvalidContender, contender, named, parameters
from ml_worker.workbench.contest import Contest, Prepared
from ml_worker.workbench.files import UnusableFile
from ml_worker.workbench.given import Given, Values, read_given
from ml_worker.workbench.report import make_report
from ml_worker.workbench.source import DESCRIPTIONS, PROTOCOLS, SplitName, divide, read_interactions
from ml_worker.workbench.writing import terminal_table, write_json, write_lists, write_markdown


class AskedWrongly(Exception):
    """Options that do not go together; the message says which."""


REFUSED: Final = (
    AskedWrongly,
    UnusableFile, DatasetUnusable, CannotSplit, UnknownAlgorithm, InvalidContender, InvalidInteractions, NothingToLearn, TrainingDiverged,
)  # fmt: skip
INTERRUPTED: Final = 130

app: Final = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def workbench() -> None:
    """Compare models."""


@app.command()
def evaluate(
    *,
    train: Annotated[Path | None, typer.Option(help="Events to learn from: user, item, value, timestamp; tab or comma.")] = None,
    test: Annotated[Path | None, typer.Option(help="Events to be found, in the same form.")] = None,
    valid: Annotated[Path | None, typer.Option(help="Events to choose by; without it a part of --train is cut off for that.")] = None,
    data: Annotated[str | None, typer.Option(metavar="PATH_OR_URL", help="A MovieLens folder, archive or address instead.")] = None,
    split: Annotated[SplitName, typer.Option(help="How --data is divided.")] = "time",
    models: Annotated[str, typer.Option(help="Names with commas. Popular and item-kNN are always compared.")] = ",".join(RECOMMENDERS),
    parameter: Annotated[list[str] | None, typer.Option("--set", metavar="MODEL.FIELD=VALUE", help="A parameter; repeatable.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Length of the lists in --out.")] = 50,
    out: Annotated[Path | None, typer.Option(help="Write the lists of the first model: user,item,rank,score.")] = None,
    protocol: Annotated[Protocol | None, typer.Option(help="What the test asks for. Default: found from times and counts.")] = None,
    values: Annotated[Values, typer.Option(help="Whether all positive lines of --train speak equally, or by their value.")] = "equal",
    report: Annotated[Path | None, typer.Option(help="Write everything as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables as Markdown.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of random splits and intervals.")] = 0,
) -> None:
    """Train models, let them rank the full catalogue for every user of the test, and measure the lists with 95 % intervals."""
    for path in (out, report, markdown):
        _check_writable(path)
    names, settings = named(models), parameters(parameter or [])
    made = {name: contender(name, settings.pop(name, {})) for name in names}
    if settings:
        raise InvalidContender(f"--set names {', '.join(settings)}, which is not among --models")
    with drawn_stages() as stages:
        given = _given(data, (train, test, valid), split=split, protocol=protocol, values=values, seed=seed, stages=stages)
        contest = Contest.of(given.split)
        entries = [contest.enter(name, _prepared(recommender), stages=stages) for name, recommender in made.items()]
        if out is not None:
            write_lists(out, entries[0].recommender, given.split.train, given.asked, count=top, progress=stages(f"writing {out.name}"))
    source = data if data is not None else f"{train} and {test}"
    outcome = make_report(contest, entries, source=source, split=f"{given.protocol} ({given.why})", notes=given.notes, seed=seed)
    if report is not None:
        write_json(report, outcome)
    if markdown is not None:
        write_markdown(markdown, outcome)
    shown = Console(highlight=False, markup=False, soft_wrap=True)
    for line in (*outcome.notes, f"split: {outcome.split}", ""):
        shown.print(line)
    shown.print(terminal_table(outcome))


def _given(
    data: str | None,
    files: tuple[Path | None, Path | None, Path | None],
    *,
    split: SplitName,
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
    whole = read_interactions(data, progress=stages("reading"))
    divided = divide(whole, split, seed=seed)
    found = protocol or PROTOCOLS[split]
    return Given(divided, None, found, f"{split}: {DESCRIPTIONS[split]}", np.unique(divided.test.rows), ())


def _prepared(recommender: Recommender) -> Callable[[], Prepared]:
    return lambda: Prepared(recommender)


def _check_writable(path: Path | None) -> None:
    """Whether a file can be written is said before hours of training, not after."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise AskedWrongly(f"{path} cannot be written: {'it is a folder' if path.is_dir() else f'{path.absolute().parent} is no folder'}")


def main() -> None:
    """Run a command; what cannot be done ends it with one sentence and code 2."""
    try:
        app(prog_name="marquee")
    except REFUSED as refusal:
        print(f"marquee: {refusal}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"marquee: {error.filename or 'a file'} cannot be written: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("marquee: interrupted; nothing was written", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
