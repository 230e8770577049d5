"""What an import tells about itself: how many rows of each file, which ones were bad and why, what was written."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from datasets.loading import Loaded
from datasets.problems import TooManyBadRows
from datasets.rows import BadRow

SHOWN_BAD_ROWS = 20


@dataclass(slots=True)
class FileTally:
    """Rows of one file: all of them, and the bad ones among them."""

    rows: int = 0
    bad: int = 0


@dataclass(slots=True)
class Tally:
    """Counts rows and bad rows while files are read, and refuses when there are too many.

    With `most_bad` None a file is refused at its end when more than half of its rows are bad; otherwise `most_bad`
    bad rows in all files together are accepted and no share matters.
    """

    most_bad: int | None = None
    on_bad_row: Callable[[BadRow], None] = lambda _row: None
    files: dict[str, FileTally] = field(default_factory=dict)
    first_bad: list[BadRow] = field(default_factory=list)

    @property
    def bad(self) -> int:
        """Bad rows of all files."""
        return sum(file.bad for file in self.files.values())

    def count(self, file: str, rows: int) -> int:
        """Add rows, good or bad, and return how many the file has so far."""
        tally = self.files.setdefault(file, FileTally())
        tally.rows += rows
        return tally.rows

    def reject(self, row: BadRow) -> None:
        """Record a row that is left out. Raises `TooManyBadRows` beyond `most_bad`."""
        self.files.setdefault(row.file, FileTally()).bad += 1
        if len(self.first_bad) < SHOWN_BAD_ROWS:
            self.first_bad.append(row)
        self.on_bad_row(row)
        if self.most_bad is not None and self.bad > self.most_bad:
            raise TooManyBadRows(f"more than {self.most_bad:,} rows are bad, the last one {row}; nothing was loaded")

    def end(self, file: str) -> None:
        """The file was read to its end. Raises `TooManyBadRows` when most of it is bad and no limit was set."""
        tally = self.files.setdefault(file, FileTally())
        if self.most_bad is None and tally.bad * 2 > tally.rows:
            first = next((f", the first one {row}" for row in self.first_bad if row.file == file), "")
            raise TooManyBadRows(
                f"{tally.bad:,} of {tally.rows:,} rows of {file} are bad{first}; nothing was loaded (set a limit to load the good rows)"
            )


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The result of an import; `loaded` counts only what was read when nothing was to be written."""

    source: str
    layout: str
    is_dry_run: bool
    loaded: Loaded
    files: dict[str, FileTally]
    bad_rows: int
    first_bad_rows: tuple[BadRow, ...]
    seconds: float

    def document(self) -> dict[str, Any]:
        """Plain values for JSON, without the bad rows themselves."""
        document = asdict(self)
        del document["first_bad_rows"]
        return document


def bad_row_line(row: BadRow) -> str:
    """A bad row as a line of JSON Lines."""
    return json.dumps({"bad_row": asdict(row)}, ensure_ascii=False) + "\n"


def report_line(report: ImportReport) -> str:
    """The whole import as the last line of JSON Lines."""
    return json.dumps({"import": report.document()}, ensure_ascii=False) + "\n"
