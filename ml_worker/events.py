"""Interactions as PostgreSQL gathers them into arrays, many in a row: to send a row an event costs more than to find them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString, NamedTuple

import numpy as np
from numpy.typing import NDArray
from psycopg import Cursor
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format

NEUTRAL_RATING = 2.5
"""The rating that says nothing: 5 stars weigh +1, 0.5 stars −0.8 times the weight of ratings."""

_ARRAY_HEADER: Final = 20
"""Bytes before the elements of a binary array of one dimension: dimensions, NULLs, type, length, first place."""
_MICROSECONDS: Final = 1_000_000
_SECONDS_TO_2000: Final = 946_684_800  # where PostgreSQL counts from
_GREATEST: Final = 1 << 62
_GATHERED: Final = """array_agg(item_id) AS items, array_agg(CASE type {numbered} END) AS types, array_agg(value::float4) AS values,
           array_agg(occurred_at) AS times, array_agg(id) AS ids"""
_UNREAD: Final = ("int4", "float4", "timestamptz", "int8")


class _Unread(Loader):
    """Leaves an array as it was sent."""

    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


class Events(NamedTuple):
    """What is told of some interactions beside their user and item [events each]."""

    types: NDArray[np.intp]  # positions in the weights
    values: NDArray[np.float32]
    times: NDArray[np.int64]  # microseconds since 2000
    ids: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[bytes]]) -> "Events":
        """From the arrays that `gather` has behind the items, of one row after the other."""
        types, values, times, ids = (_joined([row[place] for row in rows], form) for place, form in enumerate((">i4", ">f4", ">i8", ">i8")))
        return cls(types.astype(np.intp), values.astype(np.float32), times.astype(np.int64), ids.astype(np.int64))


def seconds(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Microseconds since 2000 as seconds since 1970."""
    return (times + _MICROSECONDS // 2) // _MICROSECONDS + _SECONDS_TO_2000


def in_time(groups: NDArray[np.int64], times: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.intp]:
    """The places of events in the order of their groups (0, 1, …), then of times, then of ids."""
    if not len(ids):
        return np.empty(0, dtype=np.intp)
    further = np.diff(groups)
    since = times - times.min()
    span = int(since.max()) + 1
    if ((further > 0) | (further == 0) & (np.diff(ids) > 0)).all() and span * (int(groups.max()) + 1) < _GREATEST:
        # As the table mostly has them: one key, many times quicker than three.
        return np.argsort(groups * span + since, kind="stable")
    return np.lexsort((ids, times, groups))


def gather(cursor: Cursor[Any], query: LiteralString, params: Mapping[str, Any], weights: Mapping[str, float]) -> list[Any]:
    """The rows of a query, in which `{events}` stands for the arrays of items, types, values, times and ids of its interactions.

    Items are lists of text, the others bytes for `Events.of`. `cursor` is a binary one; types are numbered as in `weights`.
    """
    for name in _UNREAD:
        cursor.adapters.register_loader(cursor.adapters.types[name].array_oid, _Unread)
    # Types are compared one after the other: to look them up in an array takes PostgreSQL longer than to find the events.
    numbered = " ".join(f"WHEN %(type_{number})s THEN {number}" for number in range(len(weights)))
    names = {f"type_{number}": name for number, name in enumerate(weights)}
    return cursor.execute(query.replace("{events}", _GATHERED).replace("{numbered}", numbered), {**params, **names}).fetchall()


def strength(types: NDArray[np.intp], values: NDArray[np.float32], weights: Mapping[str, float]) -> NDArray[np.float32]:
    """What each event says of the taste: its type's weight times its value, ratings measured from `NEUTRAL_RATING`.

    `types` are positions in `weights`; values are stars for ratings, completion for watches and 1 for the rest.
    """
    scales = np.array(list(weights.values()), dtype=np.float32)
    is_rating = types == list(weights).index("rating")
    return scales[types] * np.where(is_rating, (values - NEUTRAL_RATING) / NEUTRAL_RATING, values).astype(np.float32)


def _joined(arrays: Sequence[bytes], form: str) -> NDArray[Any]:
    """The elements of binary arrays, one array after the other: each stands behind its length."""
    element = np.dtype([("length", ">i4"), ("value", form)])
    joined: NDArray[Any] = np.frombuffer(b"".join([memoryview(sent)[_ARRAY_HEADER:] for sent in arrays]), dtype=element)["value"]
    return joined
