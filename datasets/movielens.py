"""Reads a MovieLens data set of any published layout as rows, leaving out bad ones with the file, line, column and reason."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from datasets.fields import HIGHEST_STARS, LOWEST_STARS, BadField, date_or_none, epoch_seconds, flag, looked_up, stars, text, whole
from datasets.layouts import AGE_GROUPS, FLAGGED_GENRES, OCCUPATIONS, Recognised, Table
from datasets.lines import Block, Fields, Malformed, Splitter, headless, read_blocks, read_header
from datasets.report import Tally
from datasets.rows import BadRow, InteractionRow, ItemRow, Progress, UserRow
from datasets.titles import article_first, split_year

T = TypeVar("T")

NO_GENRES = frozenset({"(no genres listed)", "unknown", ""})
TAGS_PER_ITEM = 5
DAY_SECONDS = 86_400
FIRST_FLAG = 5

# The ratings people can give, as they are written in 100k and 1m (`4`) and elsewhere (`4.0`).
_USUAL_STARS = {
    f"{half / 2:{form}}": half / 2 for half in range(int(LOWEST_STARS * 2), int(HIGHEST_STARS * 2) + 1) for form in ("g", ".1f")
}


class MovieLens:
    """A `Dataset` read from the files of a recognised layout; rows and bad rows are counted in `tally`."""

    def __init__(self, source: Recognised, *, tally: Tally, on_progress: Callable[[Progress], None] = lambda _: None) -> None:
        self._layout = source.layout
        self._tables = _Tables(source, tally, on_progress)
        self._latest = time.time() + DAY_SECONDS
        self._item_lines: dict[str, int] = {}
        self._user_ids: set[str] = set()

    def users(self) -> Iterator[UserRow]:
        """What the users' file knows; layouts without one have none."""
        reader = _users_with_ages if self._layout.genres else _users_with_codes
        seen: set[str] = set()
        for line, user in self._tables.rows(self._layout.users, reader):
            if user.id in seen:
                self._tables.reject(self._layout.users, line, 0, f"user {user.id} was listed before")
            else:
                seen.add(user.id)
                yield user

    def items(self) -> Iterator[ItemRow]:
        """Every film, with the tags most people gave it and its ids elsewhere."""
        films: list[ItemRow] = []
        for line, film in self._tables.rows(self._layout.movies, self._film_reader()):
            first = self._item_lines.setdefault(film.id, line)
            if first == line:
                films.append(film)
            else:
                self._tables.reject(self._layout.movies, line, 0, f"movie {film.id} is on line {first} already")
        tags, links = self._tags(), self._links()
        for film in films:
            yield replace(film, tags=tags.get(film.id, ()), attributes={**film.attributes, **links.get(film.id, {})})

    def interactions(self) -> Iterator[list[InteractionRow]]:
        """The ratings, a block of lines at a time."""
        for block, split in self._tables.blocks(self._layout.ratings):
            yield self._ratings_of(block, split)

    def _ratings_of(self, block: Block, split: Splitter) -> list[InteractionRow]:
        """Every line that looks like the many is read at once; the others are looked at closely, and most of those rejected."""
        rows: list[InteractionRow] = []
        table, delimiter = self._layout.ratings, split.delimiter
        users, items, usual, latest = self._user_ids, self._item_lines, _USUAL_STARS if split.is_plain else {}, self._latest
        for number, line in enumerate(block.lines, block.first):
            try:
                user, item, rating, seconds = line.split(delimiter)
                value, moment = usual[rating], int(seconds)
            except (ValueError, KeyError):
                pass
            else:
                if user in users and item in items and seconds.isdecimal() and moment <= latest:
                    rows.append((user, item, "rating", value, moment))
                    continue
            if line and (row := self._tables.convert(table, number, line, split, self._rating)):
                rows.append(row)
        return rows

    def _rating(self, fields: Fields) -> InteractionRow:
        user = whole(fields, 0)
        self._user_ids.add(user)
        return user, self._known_item(fields, 1), "rating", stars(fields, 2), epoch_seconds(fields, 3, latest=self._latest)

    def _known_item(self, fields: Fields, place: int) -> str:
        item = whole(fields, place)
        if item not in self._item_lines:
            raise BadField(place, f"movie {item} is not in {self._layout.movies.file}")
        return item

    def _film_reader(self) -> Callable[[Fields], ItemRow]:
        if self._layout.genres is None:
            return lambda fields: _film(fields, self._layout.encoding)
        genres = {place: name for _, (name, place) in self._tables.rows(self._layout.genres, lambda fields: (fields[0], whole(fields, 1)))}
        names = tuple(genres.get(str(place), name) for place, name in enumerate(FLAGGED_GENRES))
        return lambda fields: _film_with_flags(fields, names, self._layout.encoding)

    def _tags(self) -> dict[str, list[str]]:
        """The tags most people gave each item, however they wrote them; the first spelling is kept."""

        def read(fields: Fields) -> tuple[str, str]:
            return self._known_item(fields, 1), text(fields, 2, encoding=self._layout.encoding)

        spellings: dict[str, str] = {}
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for _, (item, tag) in self._tables.rows(self._layout.tags, read):
            counts[item][spellings.setdefault(tag.casefold(), tag)] += 1
        return {item: [tag for tag, _ in count.most_common(TAGS_PER_ITEM)] for item, count in counts.items()}

    def _links(self) -> dict[str, dict[str, Any]]:
        """The ids of each item in the Internet Movie Database and The Movie Database."""

        def read(fields: Fields) -> tuple[str, dict[str, Any]]:
            imdb, tmdb = (whole(fields, place) if fields[place] else None for place in (1, 2))
            known: dict[str, Any] = {} if imdb is None else {"imdb_id": f"tt{imdb}"}
            return self._known_item(fields, 0), known if tmdb is None else {**known, "tmdb_id": int(tmdb)}

        return dict(link for _, link in self._tables.rows(self._layout.links, read))


@dataclass(frozen=True, slots=True)
class _Tables:
    """The files of the source line by line: what cannot be used goes to the tally, how far it is to `on_progress`."""

    source: Recognised
    tally: Tally
    on_progress: Callable[[Progress], None]

    def rows(self, table: Table | None, read: Callable[[Fields], T]) -> Iterator[tuple[int, T]]:
        """Line number and value of every good row; nothing if the source has no such file."""
        if table is None or table.file not in self.source.files:
            return
        for block, split in self.blocks(table):
            for number, line in enumerate(block.lines, block.first):
                if line and (value := self.convert(table, number, line, split, read)) is not None:
                    yield number, value

    def blocks(self, table: Table) -> Iterator[tuple[Block, Splitter]]:
        """The lines below the header, and how to split them. Raises what `read_header` and `Tally.end` raise."""
        file = self.source.files[table.file]
        split = None if table.has_header else headless(table.delimiter, table.columns)
        for block in read_blocks(file, encoding=self.source.layout.encoding):
            lines = block
            if split is None:
                split = read_header(block.lines[0], table.delimiter, table.columns, file=table.file)
                lines = Block(block.first + 1, block.lines[1:], block.done)
            rows = self.tally.count(table.file, len(lines.lines) - lines.lines.count(""))
            yield lines, split
            self.on_progress(Progress(table.file, block.done, file.size, rows))
        if split is None:
            read_header("", table.delimiter, table.columns, file=table.file)
        self.tally.end(table.file)

    def convert(self, table: Table, number: int, line: str, split: Splitter, read: Callable[[Fields], T]) -> T | None:
        """The value of one line, or None after recording why it has none."""
        try:
            return read(split(line))
        except Malformed as error:
            self.reject(table, number, None, str(error))
        except BadField as error:
            self.reject(table, number, error.place, error.reason)
        return None

    def reject(self, table: Table | None, number: int, place: int | None, reason: str) -> None:
        """Record a bad row; `place` is that of the column in the table."""
        assert table is not None
        self.tally.reject(BadRow(table.file, number, None if place is None else table.columns[place], reason))


def _film(fields: Fields, encoding: str) -> ItemRow:
    """A film whose genres are written out: `1,Toy Story (1995),Animation|Comedy`."""
    item = whole(fields, 0)
    title, released_at = split_year(text(fields, 1, encoding=encoding))
    genres = text(fields, 2, encoding=encoding) if fields[2] else ""
    return ItemRow(item, article_first(title), _real_genres(genres.split("|")), released_at=released_at)


def _film_with_flags(fields: Fields, names: tuple[str, ...], encoding: str) -> ItemRow:
    """A film whose genres are flags, with the day of its release and its page in the Internet Movie Database."""
    item = whole(fields, 0)
    title, year = split_year(text(fields, 1, encoding=encoding))
    genres = _real_genres([name for place, name in enumerate(names, FIRST_FLAG) if flag(fields, place)])
    attributes = {"imdb_url": text(fields, 4, encoding=encoding)} if fields[4] else {}
    return ItemRow(item, article_first(title), genres, released_at=date_or_none(fields, 2) or year, attributes=attributes)


def _real_genres(names: list[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name not in NO_GENRES]


def _users_with_codes(fields: Fields) -> UserRow:
    """A line of users.dat (1m), whose age and occupation are numbers of a list."""
    attributes = {
        "gender": looked_up(fields, 1, {"F": "F", "M": "M"}.__getitem__),
        "age_group": looked_up(fields, 2, AGE_GROUPS.__getitem__),
        "occupation": looked_up(fields, 3, dict(zip(map(str, range(len(OCCUPATIONS))), OCCUPATIONS, strict=True)).__getitem__),
        "zip_code": text(fields, 4, encoding="latin-1"),
    }
    return UserRow(whole(fields, 0), attributes=attributes)


def _users_with_ages(fields: Fields) -> UserRow:
    """A line of u.user (100k), which spells the occupation out."""
    attributes = {
        "age": int(whole(fields, 1)),
        "gender": looked_up(fields, 2, {"F": "F", "M": "M"}.__getitem__),
        "occupation": text(fields, 3, encoding="latin-1"),
        "zip_code": text(fields, 4, encoding="latin-1"),
    }
    return UserRow(whole(fields, 0), attributes=attributes)
