"""Reads the live histories of some users into the columns of a model: the database gathers them, arrays take them over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
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
_GREATEST: Final = 1 << 62
_SECONDS_TO_2000: Final = 946_684_800  # where PostgreSQL counts from


@dataclass(frozen=True, slots=True)
class UserHistories:
    """The histories of the users that exist, in the order of `user_ids`; `counts` are their interactions.

    `preferred` are the categories that those chose who have no event a model knows of.
    """

    user_ids: list[str]
    counts: list[int]
    histories: Histories
    preferred: list[tuple[str, ...]]


# One row a user: to send a row an event costs more than to find them. Unsorted, for that takes PostgreSQL as long as all else here, and
# numpy a tenth of it. User by user, for the events of all of them at once would be sorted together. Items go by their ids: to look up
# their numbers PostgreSQL would read the whole catalogue for every batch.
_HISTORIES = """
SELECT asked.user_id, told.*
FROM unnest(%(user_ids)s::text[]) AS asked (user_id)
CROSS JOIN LATERAL (
    SELECT array_agg(item_id) AS items, array_agg(CASE type {numbered} END) AS types, array_agg(value::float4) AS values,
           array_agg(occurred_at) AS times, array_agg(id) AS ids
    FROM interactions WHERE interactions.user_id = asked.user_id HAVING count(*) > 0
) AS told
"""


class _Unread(Loader):
    """Leaves an array as it was sent."""

    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


def read_histories(
    connection: Connection[Any], user_ids: Sequence[str], *, columns: Mapping[str, int], size: int, weights: Mapping[str, float]
) -> UserHistories:
    """The live histories of some users; `columns` says which column an item has, of which the first `size` are the model's.

    Items the model does not know are counted but have no column. Events are oldest first, as in `dataset.read_interactions`.
    """
    there = connection.execute("SELECT id, preferred_categories FROM users WHERE id = ANY(%s) ORDER BY id", (list(user_ids),)).fetchall()
    rows_of = {user_id: row for row, (user_id, _) in enumerate(there)}
    with connection.cursor(binary=True) as cursor:
        for name in ("int4", "float4", "timestamptz", "int8"):
            kind = cursor.adapters.types[name]
            cursor.adapters.register_loader(kind.array_oid, _Unread)
        # Types are compared one after the other: to look them up in an array takes PostgreSQL longer than to find the events.
        numbered = " ".join(f"WHEN %(type_{number})s THEN {number}" for number in range(len(weights)))
        names = {f"type_{number}": name for number, name in enumerate(weights)}
        found = cursor.execute(_HISTORIES.replace("{numbered}", numbered), {"user_ids": list(rows_of), **names}).fetchall()
    types, values, times, ids = (_joined([row[place] for row in found], form) for place, form in enumerate((">i4", ">f4", ">i8", ">i8"), 2))
    lengths = np.array([len(row[1]) for row in found], dtype=np.int64)
    own = np.array([rows_of[row[0]] for row in found], dtype=np.int64)
    counts = np.zeros(len(there), dtype=np.int64)
    counts[own] = lengths
    items = chain.from_iterable(row[1] for row in found)
    places = np.fromiter(map(columns.get, items, repeat(size)), dtype=np.int64, count=len(types))
    owners, times = np.repeat(own, lengths), times.astype(np.int64)
    order = _in_time(owners, times, ids.astype(np.int64))
    known = order[places[order] < size]
    told = strength(types[known].astype(np.intp), values[known].astype(np.float32), weights)
    seconds = (times[known] + _MICROSECONDS // 2) // _MICROSECONDS + _SECONDS_TO_2000
    histories = Histories.from_events(owners[known], places[known], told, seconds, shape=(len(there), size))
    is_silent = np.diff(histories.offsets) == 0
    preferred = [tuple(chosen) if silent else () for (_, chosen), silent in zip(there, is_silent.tolist(), strict=True)]
    return UserHistories(list(rows_of), counts.tolist(), histories, preferred)


def _in_time(owners: NDArray[np.int64], times: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.intp]:
    """The places of events, which are given owner by owner, in the order of owners, times and ids."""
    if not len(ids):
        return np.empty(0, dtype=np.intp)
    came = np.diff(ids)[np.diff(owners) == 0]
    since = times - times.min()
    span = int(since.max()) + 1
    if (came > 0).all() and span * (int(owners.max()) + 1) < _GREATEST:
        # As the table mostly has them: one key, many times quicker than three.
        return np.argsort(owners * span + since, kind="stable")
    return np.lexsort((ids, times, owners))


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
