"""How commands show tables, times and durations."""

from datetime import datetime
from typing import Final

from rich.console import Console
from rich.table import Table

ID_WIDTH: Final = 36
PIPE_WIDTH: Final = 1000
ID_COLUMNS: Final = frozenset({"id", "running", "the latest", "task"})

out: Final = Console(highlight=False, markup=False, soft_wrap=True)


def table_of(*columns: str) -> Table:
    """An empty table without lines."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in columns:
        # Ids are there to be copied: whatever else has to be shortened, they are whole.
        table.add_column(column, no_wrap=True, min_width=ID_WIDTH if column in ID_COLUMNS else None)
    return table


def pairs() -> Table:
    """An empty table of names and values."""
    return Table(box=None, show_header=False, padding=(0, 2, 0, 0))


def show(table: Table) -> None:
    """As wide as the terminal; whole, where somebody else reads it."""
    (out if out.is_terminal else Console(highlight=False, markup=False, width=PIPE_WIDTH)).print(table)


def duration(seconds: float) -> str:
    """As people say it: 0.4 s, 12 s, 5 min, 3 h, 2 d."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if abs(seconds) >= 10 else f"{seconds:.1f} s"  # noqa: PLR2004


def moment(time: datetime | None) -> str:
    """A time to the second with its offset, or nothing."""
    return time.isoformat(sep=" ", timespec="seconds") if time else ""
