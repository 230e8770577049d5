"""Rows a second of an import from files against a bare COPY of the same rows into the same table."""

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from benchmarks.frame import Case, Measure
from benchmarks.servers import fresh_database
from datasets.importing import import_dataset

USERS, FILMS = 600, 5_000
FIRST_MOMENT, LAST_MOMENT = 1_000_000_000, 1_500_000_000

Row = tuple[str, str, float, int]


@contextmanager
def _imports(quick: bool) -> Iterator[tuple[Measure, Measure]]:
    rows = _draw(20_000 if quick else 100_000)
    with fresh_database() as url, tempfile.TemporaryDirectory() as folder, psycopg.connect(url, autocommit=True) as connection:
        _write_files(Path(folder), rows)
        yield lambda: import_rows(connection, folder, len(rows)), lambda: bare_copy_rows(connection, rows)


def import_rows(connection: Connection[Any], folder: str, count: int) -> float:
    """Ratings a second of the whole import: reading, checking, films and users included."""
    _empty(connection)
    started = time.perf_counter()
    report = import_dataset(folder, connection=connection)
    seconds = time.perf_counter() - started
    assert report.loaded.interactions.added == count
    return count / seconds


def bare_copy_rows(connection: Connection[Any], rows: list[Row]) -> float:
    """Ratings a second of one COPY from memory into the table with all its indexes and constraints; users and films are there."""
    _empty(connection)
    connection.execute("INSERT INTO users (id) SELECT unnest(%s::text[])", [sorted({row[0] for row in rows})])
    connection.execute("INSERT INTO items (id, title) SELECT n::text, 'Film' FROM generate_series(1, %s) AS n", [FILMS])
    lines = [f"{user}\t{item}\trating\t{value}\t{_moment(seconds)}\n" for user, item, value, seconds in rows]
    started = time.perf_counter()
    with connection.cursor().copy("COPY interactions (user_id, item_id, type, value, occurred_at) FROM STDIN") as copy:
        for start in range(0, len(lines), 5_000):
            copy.write("".join(lines[start : start + 5_000]))
    return len(rows) / (time.perf_counter() - started)


def _draw(count: int) -> list[Row]:
    """Ratings of real data's shape: user after user, films by a skewed choice, nothing twice."""
    draw = random.Random(1)
    share = count // USERS + 1
    rows: list[Row] = []
    for user in range(1, USERS + 1):
        films = {int(FILMS * draw.random() ** 2) + 1 for _ in range(2 * share)}
        seconds = draw.randrange(FIRST_MOMENT, LAST_MOMENT)
        rows += [(str(user), str(film), draw.randrange(1, 11) / 2, seconds + place) for place, film in enumerate(sorted(films)[:share])]
    return rows[:count]


def _write_files(folder: Path, rows: list[Row]) -> None:
    films = (f"{film},Film {film} (1999),Drama|Comedy\n" for film in range(1, FILMS + 1))
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "".join(films))
    ratings = (f"{user},{film},{value},{seconds}\n" for user, film, value, seconds in rows)
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "".join(ratings))


def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(seconds))


def _empty(connection: Connection[Any]) -> None:
    connection.execute("TRUNCATE users, items, interactions CASCADE")
    connection.execute("CHECKPOINT")


CASES = [
    Case(
        "import_copy",
        "rows/s",
        "an import from MovieLens files, checked and with its films and users ÷ a bare COPY of the ratings alone into the same table",
        _imports,
    )
]
