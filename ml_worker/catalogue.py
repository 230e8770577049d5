"""What ranking knows of the items beside the model; kept in memory and read again when the catalogue has changed."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from scipy.sparse import csr_matrix

from core.narrowing import Narrowing
from ml_worker.registry import ServedModel

LARGE: Final = 5_000
"""A catalogue of more items is not read again and again while it is being filled: each time only after a pause."""
PAUSE: Final = 5.0
"""That pause, as a multiple of the time the last reading took. Items hidden meanwhile are left out when a list is read."""


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """The items of a model in its columns, and behind them those that came later."""

    item_ids: tuple[str, ...]
    known: int  # so many are the model's
    is_offered: NDArray[np.bool_]  # [items] neither hidden nor gone
    years: NDArray[np.int32]  # [items] of release, 0 if not known
    appeared: NDArray[np.int64]  # [items] released, or else added, in seconds since the epoch
    categories: csr_matrix  # float32 [items × categories]
    category_names: tuple[str, ...]
    tags: csr_matrix  # float32 [items × tags]
    tag_names: tuple[str, ...]
    columns: Mapping[str, int]
    numbers: NDArray[np.int32]  # [items] by which the database knows them, 0 for those that are gone

    def mask(self, narrowing: Narrowing) -> NDArray[np.bool_]:
        """Which items may be in a list [items]."""
        allowed = self.is_offered.copy()
        if narrowing.categories:
            wanted = _columns(self.category_names, narrowing.categories)
            needed = len(set(narrowing.categories)) if narrowing.match == "all" else 1
            allowed &= _having(self.categories, wanted) >= needed
        if narrowing.tags:
            allowed &= _having(self.tags, _columns(self.tag_names, narrowing.tags)) >= 1
        if narrowing.year_from is not None:
            allowed &= self.years >= narrowing.year_from
        if narrowing.year_to is not None:
            allowed &= (self.years <= narrowing.year_to) & (self.years > 0)
        allowed[[self.columns[item_id] for item_id in narrowing.exclude if item_id in self.columns]] = False
        return allowed

    def is_new(self, *, now: float, days: float) -> NDArray[np.bool_]:
        """Which items were released, or else added, within so many days [items]."""
        return (self.appeared > now - days * 86_400) & (self.appeared <= now) & self.is_offered

    def chosen(self, names: Sequence[str]) -> NDArray[np.float32]:
        """The categories of these names as a profile [categories]."""
        profile = np.zeros(len(self.category_names), dtype=np.float32)
        profile[_columns(self.category_names, names)] = 1
        return profile


def _columns(known: Sequence[str], wanted: Sequence[str]) -> list[int]:
    index = {name: column for column, name in enumerate(known)}
    return [index[name] for name in dict.fromkeys(wanted) if name in index]


def _having(matrix: csr_matrix, columns: list[int]) -> NDArray[np.float32]:
    """How many of the columns each row has [rows]."""
    picked = np.zeros(matrix.shape[1], dtype=np.float32)
    picked[columns] = 1
    counted: NDArray[np.float32] = matrix @ picked
    return counted


class Catalogues:
    """The catalogue as it is for each model in use; one for a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._made: dict[int, Catalogue] = {}
        self._due_at = 0.0

    def current(self, connection: Connection[Any], model: ServedModel) -> Catalogue:
        """The catalogue for a model. The stamp is read before the items, so that a change in between is seen the next time."""
        with self._lock:
            stamp = _read_stamp(connection)
            made = self._made.get(model.version_id)
            if stamp != self._stamp and (made is None or len(made.item_ids) <= LARGE or time.monotonic() >= self._due_at):
                self._made, self._stamp, made = {}, stamp, None
            if made is None:
                started = time.monotonic()
                made = read_catalogue(connection, model.recommender.item_ids)
                self._due_at = time.monotonic() + PAUSE * (time.monotonic() - started)
                # A few: the live version, and those of an experiment.
                self._made = {**dict(list(self._made.items())[-3:]), model.version_id: made}
            return made


def _read_stamp(connection: Connection[Any]) -> tuple[int, int]:
    row = connection.execute("SELECT count(*), coalesce(max(id), 0) FROM catalogue_changes").fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


_ITEMS = """
SELECT id, NOT is_hidden, coalesce(extract(year FROM released_at AT TIME ZONE 'UTC'), 0)::int4,
       floor(extract(epoch FROM coalesce(released_at, created_at)))::int8, categories, tags, number
FROM items ORDER BY id
"""


def read_catalogue(connection: Connection[Any], known: Sequence[str]) -> Catalogue:
    """All items there are; those of `known` that are gone are not offered."""
    rows = connection.execute(_ITEMS).fetchall()
    columns = {item_id: column for column, item_id in enumerate(known)}
    for row in rows:
        columns.setdefault(row[0], len(columns))
    size = len(columns)
    is_offered, years, appeared = np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.int32), np.zeros(size, dtype=np.int64)
    numbers = np.zeros(size, dtype=np.int32)
    places = np.array([columns[row[0]] for row in rows], dtype=np.intp)
    if rows:
        is_offered[places], years[places], appeared[places], numbers[places] = ([row[field] for row in rows] for field in (1, 2, 3, 6))
    categories, category_names = _matrix(places, [row[4] for row in rows], size)
    tags, tag_names = _matrix(places, [row[5] for row in rows], size)
    return Catalogue(
        item_ids=tuple(columns),
        known=len(known),
        is_offered=is_offered,
        years=years,
        appeared=appeared,
        categories=categories,
        category_names=category_names,
        tags=tags,
        tag_names=tag_names,
        columns=columns,
        numbers=numbers,
    )


def _matrix(places: NDArray[np.intp], names: Sequence[Sequence[str]], size: int) -> tuple[csr_matrix, tuple[str, ...]]:
    index: dict[str, int] = {}
    rows, columns = [], []
    for place, of_item in zip(places, names, strict=True):
        for name in dict.fromkeys(of_item):
            rows.append(place)
            columns.append(index.setdefault(name, len(index)))
    values = np.ones(len(rows), dtype=np.float32)
    return csr_matrix((values, (rows, columns)), shape=(size, max(len(index), 1))), tuple(index) or ("",)
