"""Reads plain files of events, `user<TAB>item[<TAB>value[<TAB>timestamp]]` or with commas, without a header, as columns."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

EXPECTED = "user, item and optionally value and timestamp (seconds), separated by tabs or by commas, without a header"
CHUNK_LINES = 200_000
_COLUMNS = ("user", "item", "value", "timestamp")
_FEWEST = 2
_VALUE, _TIME = 2, 3
_HEADINGS = {"user", "users", "user_id", "userid", "uid", "user id"}


class UnusableFile(Exception):
    """A file that cannot be read as events; the message names the file, the line, and what is expected."""


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """The lines of a file in their order; ids are kept as written."""

    path: Path
    users: NDArray[np.int32]  # [lines] index into user_ids
    items: NDArray[np.int32]  # [lines] index into item_ids
    user_ids: tuple[str, ...]  # in the order of their first line
    item_ids: tuple[str, ...]
    values: NDArray[np.float64] | None  # [lines]
    times: NDArray[np.int64] | None  # [lines] seconds

    def __len__(self) -> int:
        return len(self.users)


def read_events(path: Path) -> Events:
    """All lines of the file; empty ones are skipped, equal ones kept. Raises `UnusableFile`."""
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            return _Reader(path).read(file)
    except UnicodeDecodeError as error:
        raise UnusableFile(f"{path} is not UTF-8 text (byte {error.start:,} of a block); expected are lines of {EXPECTED}") from error
    except OSError as error:
        raise UnusableFile(f"{path} cannot be read: {error.strerror or error}") from error


class _Reader:
    """Collects the columns of one file; what the first line is like, all must be like."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self._columns: list[list[NDArray[np.generic]]] = [[], [], [], []]

    def read(self, file: IO[str]) -> Events:
        number, delimiter, width = 0, "", 0
        while lines := list(islice(file, CHUNK_LINES)):
            first = number + 1
            number += len(lines)
            lines = "".join(lines).replace("\r\n", "\n").removesuffix("\n").split("\n")
            if not width:
                start = next((place for place, line in enumerate(lines) if line), None)
                if start is None:
                    continue
                delimiter, width = self._layout(lines[start], first + start)
            self._take(delimiter, width, _Numbered(first, lines))
        if not width:
            raise UnusableFile(f"{self._path} is empty; expected are lines of {EXPECTED}")
        columns = [np.concatenate(parts) if parts else None for parts in self._columns]
        user_ids, item_ids = (tuple(ids) for ids in self._ids)
        return Events(self._path, columns[0], columns[1], user_ids, item_ids, columns[2], columns[3])  # type: ignore[arg-type]

    def _layout(self, line: str, number: int) -> tuple[str, int]:
        """The delimiter and the number of columns of the first line."""
        delimiter = "\t" if "\t" in line else ","
        fields = line.split(delimiter)
        if not _FEWEST <= len(fields) <= len(_COLUMNS) or "::" in line:
            hint = " (`::` is not read: replace it by a tab)" if "::" in line else ""
            raise self._problem(number, f"{_shown(line)}{hint}; expected are {EXPECTED}")
        if fields[0].strip().lower() in _HEADINGS:
            raise self._problem(number, f"{_shown(line)} looks like a header; expected are {EXPECTED}")
        return delimiter, len(fields)

    def _take(self, delimiter: str, width: int, at: "_Numbered") -> None:
        rows = list(filter(None, at.lines))
        wrong = next((row for row, count in enumerate(map(str.count, rows, repeat(delimiter))) if count != width - 1), None)
        if wrong is not None:
            columns = rows[wrong].count(delimiter) + 1
            raise self._problem(at.line(wrong), f"has {columns} columns where the first line has {width}")
        fields = delimiter.join(rows).split(delimiter)  # one list: a list for each of millions of lines takes much longer
        for place in range(width if rows else 0):
            texts = fields[place::width]
            self._columns[place].append(self._coded(place, texts, at) if place < _FEWEST else self._numbers(place, texts, at))

    def _coded(self, place: int, texts: Sequence[str], at: "_Numbered") -> NDArray[np.int32]:
        ids = self._ids[place]
        for text in dict.fromkeys(texts):
            ids.setdefault(text, len(ids))
        codes = np.fromiter(map(ids.__getitem__, texts), dtype=np.int32, count=len(texts))
        if "" in ids:
            raise self._problem(at.line(texts.index("")), f"the {_COLUMNS[place]} is empty")
        return codes

    def _numbers(self, place: int, texts: Sequence[str], at: "_Numbered") -> NDArray[np.generic]:
        try:
            numbers = np.fromiter(map(float, texts), dtype=np.float64, count=len(texts))
            wrong = np.flatnonzero(~np.isfinite(numbers) | ((np.abs(numbers) >= 2**62) & (place == _TIME)))
            bad = int(wrong[0]) if len(wrong) else None
        except ValueError:
            bad = next(row for row, text in enumerate(texts) if not _is_number(text))
        if bad is not None:
            what = f"the {_COLUMNS[place]} is {_shown(texts[bad])}, "
            if _is_number(texts[bad]) and math.isfinite(float(texts[bad])):
                raise self._problem(at.line(bad), f"{what}too large for seconds")
            hint = "; a header has to be removed" if at.line(bad) == 1 and not _is_number(texts[bad]) else ""
            raise self._problem(at.line(bad), f"{what}not a finite number{hint}")
        return numbers if place == _VALUE else numbers.astype(np.int64)

    def _problem(self, number: int, what: str) -> UnusableFile:
        return UnusableFile(f"{self._path}, line {number:,}: {what}")


@dataclass(frozen=True, slots=True)
class _Numbered:
    """The lines of a chunk, the empty ones included, to find the number of a row again."""

    first: int
    lines: list[str]

    def line(self, row: int) -> int:
        return next(islice(self._filled(), row, None))

    def _filled(self) -> Iterator[int]:
        return (number for number, line in enumerate(self.lines, self.first) if line)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(text: str) -> str:
    longest = 60
    return repr(text if len(text) <= longest else text[:longest] + "…")
