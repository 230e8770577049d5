"""`marquee import` and `marquee generate`: fill a database with a data set or with invented films and people."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Final

import psycopg
import typer
from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from cli.connecting import connected, first_line
from cli.refusal import Refusal
from datasets.generator import DemoSize, SizeImpossible, generate
from datasets.importing import import_dataset
from datasets.loading import Loaded, load
from datasets.problems import DatasetUnusable
from datasets.report import SHOWN_BAD_ROWS, ImportReport, bad_row_line, report_line
from datasets.rows import BadRow, Progress

PLAIN_LINE_SECONDS = 5.0
DEFAULT_SIZE = DemoSize()

OnProgress = Callable[[Progress], None]

app: Final = typer.Typer(help="Data in.", no_args_is_help=True)
results = Console(highlight=False, markup=False, soft_wrap=True)
progress_lines = Console(stderr=True, highlight=False, markup=False)


@app.command("import")
def import_command(
    source: Annotated[str, typer.Argument(metavar="PATH_OR_URL", help="A MovieLens folder, .zip or .tar.gz archive, or its address.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, write nothing; needs no database.")] = False,
    max_bad_rows: Annotated[
        int | None,
        typer.Option(
            min=0, help="Refuse when more rows than this are bad. Without it: when more than half of a file is.", show_default=False
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write every bad row and the counts to this file as JSON Lines.", show_default=False)
    ] = None,
    max_download_mb: Annotated[int, typer.Option(min=1, help="Refuse to download more megabytes than this.")] = 4096,
) -> None:
    """Load a MovieLens data set (100k, 1m, 10m, latest, 20m, 25m, 32m) into the database (DATABASE_URL); all of it or nothing."""
    with _told_in_a_sentence(), _json_lines(report) as write, contextlib.ExitStack() as stack:
        connection = None if dry_run else stack.enter_context(connected())
        with _drawn() as on_progress:
            imported = import_dataset(
                source,
                connection=connection,
                on_progress=on_progress,
                on_bad_row=lambda row: write([bad_row_line(row)]),
                max_bad_rows=max_bad_rows,
                largest_download_bytes=max_download_mb * 1_000_000,
            )
        write([report_line(imported)])
    _show_report(imported, report)


@app.command("generate")
def generate_command(
    *,
    users: Annotated[int, typer.Option(help="How many people.")] = DEFAULT_SIZE.users,
    items: Annotated[int, typer.Option(help="How many films.")] = DEFAULT_SIZE.items,
    interactions: Annotated[int, typer.Option(help="How many ratings, watches, likes and bookmarks in all.")] = DEFAULT_SIZE.interactions,
    seed: Annotated[int, typer.Option(min=0, help="The same seed and size make the same data.")] = 1,
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
            help="When the last thing happened (UTC if no offset is given). Default: now.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Invent films, people and three years of what they did, and load them into the database (DATABASE_URL)."""
    started = time.monotonic()
    try:
        size = DemoSize(users, items, interactions)
    except SizeImpossible as error:
        raise Refusal(str(error), exit_code=2) from error
    if until is not None and until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    with _told_in_a_sentence(), connected() as connection, _drawn() as on_progress:
        loaded = load(connection, generate(size, seed=seed, until=until, on_progress=on_progress))
    _show_counts(loaded)
    results.print(f"Generated and loaded in {time.monotonic() - started:.1f} s.")


@contextmanager
def _told_in_a_sentence() -> Iterator[None]:
    """What ends an import, as one sentence."""
    try:
        yield
    except DatasetUnusable as error:
        raise Refusal(str(error)) from error
    except psycopg.errors.UndefinedTable as error:
        raise Refusal("the database has no tables of Marquee yet; `marquee db upgrade` makes them") from error
    except psycopg.Error as error:
        raise Refusal(f"the database refused, and nothing was loaded: {first_line(error)}") from error


@contextmanager
def _json_lines(path: Path | None) -> Iterator[Callable[[list[str]], None]]:
    """Writes to the file, or nowhere."""
    if path is None:
        yield lambda _lines: None
        return
    try:
        file: IO[str] = path.open("w", encoding="utf-8")
    except OSError as error:
        raise Refusal(f"the report cannot be written to {path}: {error.strerror}", exit_code=2) from error
    with file:
        yield file.writelines


@contextmanager
def _drawn() -> Iterator[OnProgress]:
    """One bar a stage on a terminal, and elsewhere a plain line now and then."""
    if not progress_lines.is_terminal:
        yield _Lines().show
        return
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[note]}"))
    with Bars(*columns, TimeElapsedColumn(), console=progress_lines) as bars:
        known: dict[str, TaskID] = {}

        def show(progress: Progress) -> None:
            if progress.stage not in known:
                known[progress.stage] = bars.add_task(progress.stage, note="")
            bars.update(known[progress.stage], completed=progress.done, total=progress.total, note=_amount(progress))

        yield show


class _Lines:
    """Progress as lines: the first of a stage, its end, and one every few seconds between."""

    def __init__(self) -> None:
        self._written: dict[str, float] = {}

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        is_due = now - self._written.get(progress.stage, 0.0) >= PLAIN_LINE_SECONDS
        if is_due or progress.done == progress.total:
            self._written[progress.stage] = now
            share = f"{progress.done / progress.total:4.0%} " if progress.total else ""
            typer.echo(f"{progress.stage}: {share}{_amount(progress)}", err=True)


def _amount(progress: Progress) -> str:
    return f"{progress.rows:,} rows" if progress.rows else f"{progress.done / 1e6:,.1f} MB"


def _show_report(report: ImportReport, written_to: Path | None) -> None:
    results.print(f"{report.layout} from {report.source}")
    _show_counts(report.loaded, is_dry_run=report.is_dry_run)
    if report.bad_rows:
        results.print(f"{report.bad_rows:,} bad rows {'would be' if report.is_dry_run else 'were'} left out:")
        _show_bad_rows(report.first_bad_rows)
        if report.bad_rows > SHOWN_BAD_ROWS:
            where = f"{written_to} has all of them" if written_to else "--report FILE writes all of them"
            results.print(f"  and {report.bad_rows - SHOWN_BAD_ROWS:,} more; {where}")
    results.print(f"{'Checked; nothing was written' if report.is_dry_run else 'Imported'} in {report.seconds:.1f} s.")


def _show_bad_rows(rows: tuple[BadRow, ...]) -> None:
    for row in rows:
        results.print(f"  {row}")


def _show_counts(loaded: Loaded, *, is_dry_run: bool = False) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    for heading in ("read",) if is_dry_run else ("read", "new", "changed", "unchanged"):
        table.add_column(heading, justify="right")
    for name, written in (("users", loaded.users), ("items", loaded.items), ("interactions", loaded.interactions)):
        numbers = (written.read,) if is_dry_run else (written.read, written.added, written.changed, written.unchanged)
        table.add_row(name, *(f"{number:,}" for number in numbers))
    results.print(table)
