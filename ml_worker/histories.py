"""Reads the live histories of some users into the columns of a model: the database gathers them, arrays take them over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format

from ml_worker.dataset import strength
from ml_worker.recommenders.interactions import Histories

_ARRAY_HEADER: Final = 20
"""Bytes before the elements of a binary array of one dimension: dimensions, NULLs, type, length, first place."""
_MICROSECONDS: Final = 1_000_000
_SECONDS_TO_2000: Final = 946_684_800  # where PostgreSQL counts from


@dataclass(frozen=True, slots=True, eq=False)
class Numbering:
    """Which column the number of an item in the database stands for."""

    numbers: NDArray[np.int32]  # ascending
    columns: NDArray[np.int32]  # of each

    @classmethod
    def of(cls, numbers: NDArray[np.int32]) -> "Numbering":
        """From the number of each column; 0 where the item is gone."""
        there = np.flatnonzero(numbers)
        order = there[np.argsort(numbers[there])]
        return cls(numbers[order], order.astype(np.int32))

    def find(self, numbers: NDArray[np.int32]) -> NDArray[np.int32]:
        """The column of each number, −1 for those that have none."""
        if not len(self.numbers):
            return np.full(len(numbers), -1, dtype=np.int32)
        place = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        found: NDArray[np.int32] = np.where(self.numbers[place] == numbers, self.columns[place], -1).astype(np.int32)
        return found


@dataclass(frozen=True, slots=True)
class UserHistories:
    """The histories of the users that exist, in the order of `user_ids`; `counts` are their interactions.

    `preferred` are the categories that those chose who have no event a model knows of.
    """

    user_ids: list[str]
    counts: list[int]
    histories: Histories
    preferred: list[tuple[str, ...]]


# One row a user: to send a row an event costs more than to find them. The inner order is the order in the arrays.
_HISTORIES = """
SELECT user_id, array_agg(number) AS items, array_agg(type) AS types, array_agg(value) AS values, array_agg(occurred_at) AS times
FROM (
    SELECT user_id, number, array_position(%(types)s::text[], type)::int4 - 1 AS type, value::float4, occurred_at
    FROM interactions JOIN items ON items.id = item_id
    WHERE user_id = ANY(%(user_ids)s) ORDER BY user_id, occurred_at, interactions.id
) AS events
GROUP BY user_id
"""


class _Unread(Loader):
    """Leaves an array as it was sent."""

    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


def read_histories(
    connection: Connection[Any], user_ids: Sequence[str], *, numbering: Numbering, size: int, weights: Mapping[str, float]
) -> UserHistories:
    """The live histories of some users; `numbering` says which of the `size` columns of a model an item has.

    Items the model does not know are counted but have no column. Events are oldest first, as in `dataset.read_interactions`.
    """
    there = connection.execute("SELECT id, preferred_categories FROM users WHERE id = ANY(%s) ORDER BY id", (list(user_ids),)).fetchall()
    rows_of = {user_id: row for row, (user_id, _) in enumerate(there)}
    with connection.cursor(binary=True) as cursor:
        for name in ("int4", "float4", "timestamptz"):
            kind = cursor.adapters.types[name]
            cursor.adapters.register_loader(kind.array_oid, _Unread)
        found = cursor.execute(_HISTORIES, {"user_ids": list(rows_of), "types": list(weights)}).fetchall()
    items, types, values, times = (
        _joined([row[place] for row in found], form) for place, form in enumerate((">i4", ">i4", ">f4", ">i8"), start=1)
    )
    lengths = np.array([(len(row[1]) - _ARRAY_HEADER) // 8 for row in found], dtype=np.int64)
    own = np.array([rows_of[row[0]] for row in found], dtype=np.int64)
    counts = np.zeros(len(there), dtype=np.int64)
    counts[own] = lengths
    columns = numbering.find(items.astype(np.int32))
    known = np.flatnonzero((columns >= 0) & (columns < size))
    told = strength(types[known].astype(np.intp), values[known].astype(np.float32), weights)
    seconds = (times[known].astype(np.int64) + _MICROSECONDS // 2) // _MICROSECONDS + _SECONDS_TO_2000
    histories = Histories.from_events(np.repeat(own, lengths)[known], columns[known], told, seconds, shape=(len(there), size))
    is_silent = np.diff(histories.offsets) == 0
    preferred = [tuple(chosen) if silent else () for (_, chosen), silent in zip(there, is_silent.tolist(), strict=True)]
    return UserHistories(list(rows_of), counts.tolist(), histories, preferred)


def _joined(arrays: Sequence[bytes], form: str) -> NDArray[Any]:
    """The elements of binary arrays, one array after the other: each stands behind its length."""
    element = np.dtype([("length", ">i4"), ("value", form)])
    joined: NDArray[Any] = np.frombuffer(b"".join([memoryview(sent)[_ARRAY_HEADER:] for sent in arrays]), dtype=element)["value"]
    return joined


def session_histories(item_ids: Sequence[str], *, columns: Mapping[str, int]) -> UserHistories:
    """The history of somebody without a name who liked these items, in this order."""
    known = [columns[item_id] for item_id in item_ids if item_id in columns]
    histories = Histories.from_events(np.zeros(len(known)), known, np.ones(len(known)), shape=(1, len(columns)))
    return UserHistories(["session"], [0], histories, [()])
