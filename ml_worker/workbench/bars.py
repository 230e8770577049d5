"""Progress on standard error: a bar for each stage on a terminal, elsewhere a plain line now and then."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from ml_worker.recommenders.base import Progress

PLAIN_LINE_SECONDS = 5.0


class Stages(Protocol):
    """Opens a stage: the returned callback is told the share done, 0 to 1, and a note for people."""

    def __call__(self, name: str) -> Progress: ...


def silent(_name: str) -> Progress:
    """Stages that nobody watches."""
    return lambda _done, _note: None


@contextmanager
def drawn_stages(console: Console | None = None) -> Iterator[Stages]:
    """Stages that are shown for as long as the context lives; `console` is standard error unless given."""
    shown_on = console or Console(stderr=True, highlight=False, markup=False)
    if not shown_on.is_terminal:
        yield lambda name: _Lines(shown_on, name).show
        return
    columns = (TextColumn("{task.description:<24}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[note]}"))
    with Bars(*columns, TimeElapsedColumn(), console=shown_on) as bars:

        def open_stage(name: str) -> Progress:
            task = bars.add_task(name, total=1.0, note="")
            return lambda done, note: bars.update(task, completed=done, note=note)

        yield open_stage


class _Lines:
    """One stage as lines: its first, its end, and one every few seconds between."""

    def __init__(self, console: Console, name: str) -> None:
        self._console, self._name, self._written = console, name, float("-inf")

    def show(self, done: float, note: str) -> None:
        now = time.monotonic()
        if now - self._written >= PLAIN_LINE_SECONDS or done >= 1:
            self._written = now
            self._console.print(f"{self._name}: {done:4.0%} {note}", soft_wrap=True)
