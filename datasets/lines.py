"""Streams a text file as blocks of numbered lines, and splits lines into the columns a layout names."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from datasets.archives import File
from datasets.problems import FileUnusable

BLOCK_BYTES = 1 << 20
LONGEST_LINE_BYTES = 1 << 20

Fields = list[str]


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive lines without their ends; `first` is the number of the first one, `done` how many bytes have been read."""

    first: int
    lines: list[str]
    done: int


class Malformed(ValueError):
    """A line that cannot be split into its columns; the message says why."""


def read_blocks(file: File, *, encoding: str) -> Iterator[Block]:
    """All lines in blocks of about a megabyte. Bytes that are not text in the encoding become lone surrogates, see `is_text`."""
    number, rest, done = 1, b"", 0
    with file.open() as stream:
        while chunk := stream.read(BLOCK_BYTES):
            done += len(chunk)
            whole, newline, tail = chunk.rpartition(b"\n")
            if not newline:
                rest += chunk
                if len(rest) > LONGEST_LINE_BYTES:
                    raise FileUnusable(f"{file.name}:{number}: a line of more than {LONGEST_LINE_BYTES >> 20} MB is no row of a text file")
                continue
            lines = _lines(rest + whole, encoding, is_first=number == 1)
            yield Block(number, lines, done)
            number, rest = number + len(lines), tail
    if rest:
        yield Block(number, _lines(rest, encoding, is_first=number == 1), done)


def _lines(content: bytes, encoding: str, *, is_first: bool) -> list[str]:
    text = content.decode(encoding, errors="surrogateescape")
    if is_first:
        text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").removesuffix("\r")
    # Not splitlines(): it also splits at separators that may be part of a title.
    return text.split("\n")


def is_text(value: str) -> bool:
    """Whether every byte was text in the file's encoding and PostgreSQL can store it (which excludes NUL)."""
    return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)


@dataclass(frozen=True, slots=True)
class Splitter:
    """Splits a line into the columns of a table; with a comma, quotes are understood as in RFC 4180 within one line."""

    delimiter: str
    width: int
    order: tuple[int, ...]

    @property
    def is_plain(self) -> bool:
        """Whether the columns come in the table's order and no others beside them."""
        return self.order == tuple(range(self.width))

    def __call__(self, line: str) -> Fields:
        """The columns of one line in the table's order. Raises `Malformed`."""
        fields = split_csv(line) if self.delimiter == "," else line.split(self.delimiter)
        if len(fields) != self.width:
            raise Malformed(f"{len(fields)} fields where {self.width} were expected")
        return fields if self.is_plain else [fields[place] for place in self.order]


def headless(delimiter: str, columns: Sequence[str]) -> Splitter:
    """The splitter of a table without a header line."""
    return Splitter(delimiter, len(columns), tuple(range(len(columns))))


def read_header(line: str, delimiter: str, columns: Sequence[str], *, file: str) -> Splitter:
    """The splitter of a table with this header line. Raises `FileUnusable` naming the columns that are missing."""
    try:
        header = [name.strip() for name in split_csv(line)]
    except Malformed as error:
        raise FileUnusable(f"{file}: the header line cannot be read: {error}") from error
    missing = [name for name in columns if name not in header]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        found = ascii(line[:100]) if line.strip() else "empty"
        raise FileUnusable(f"{file} lacks the column{plural} {', '.join(missing)}; its first line is {found}")
    return Splitter(delimiter, len(header), tuple(header.index(name) for name in columns))


def split_csv(line: str) -> Fields:
    """The fields of one line of comma-separated values. Raises `Malformed` for quotes that do not match."""
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise Malformed(f"the quotes do not match ({error})") from error
