"""Interactions as PostgreSQL joins them, many in a row: to send a row an event costs more than to find them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, LiteralString, NamedTuple

import numpy as np
from numpy.typing import NDArray
from psycopg import Cursor

NEUTRAL_RATING = 2.5
"""The rating that says nothing: 5 stars weigh +1, 0.5 stars −0.8 times the weight of ratings."""

_MICROSECONDS: Final = 1_000_000
_SECONDS_TO_2000: Final = 946_684_800  # where PostgreSQL counts from
_GREATEST: Final = 1 << 62
_SEPARATOR: Final = "\x1f"
"""Between ids, which are made of letters, digits and few signs (`core.identifiers`)."""
# Strings of what the types send: arrays of the same, which PostgreSQL puts together and takes apart again, took it a third longer.
_JOINED: Final = """string_agg(item_id, %(separator)s) AS items, string_agg(CASE type {numbered} END, '') AS types,
           string_agg(float8send(value), '') AS values, string_agg(timestamptz_send(occurred_at), '') AS times,
           string_agg(int8send(id), '') AS ids"""
_FORMS: Final = (">u1", ">f8", ">i8", ">i8")


class Events(NamedTuple):
    """What is told of some interactions beside their user and item [events each]."""

    types: NDArray[np.intp]  # positions in the weights
    values: NDArray[np.float32]
    times: NDArray[np.int64]  # microseconds since 2000
    ids: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[bytes]]) -> "Events":
        """From what `gather` has behind the items, of one row after the other."""
        types, values, times, ids = (np.frombuffer(b"".join([row[n] for row in rows]), form) for n, form in enumerate(_FORMS))
        return cls(types.astype(np.intp), values.astype(np.float32), times.astype(np.int64), ids.astype(np.int64))


def joined(ids: Iterable[str]) -> str:
    """The ids, or strings of them, as one string."""
    return _SEPARATOR.join(ids)


def split(ids: Iterable[str]) -> list[str]:
    """The ids in strings that `gather` has, one string after the other."""
    text = joined(ids)
    return text.split(_SEPARATOR) if text else []


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
    """The rows of a query, in which `{events}` stands for the items, types, values, times and ids of its interactions.

    Items are a string for `split`, the others bytes for `Events.of`. What `joined` and `split` have between ids is `%(separator)s` there.
    `cursor` is a binary one; types are numbered as in `weights`, which must have all of them.
    """
    # Types are compared one after the other: to look them up in an array takes PostgreSQL longer than to find the events.
    numbered = " ".join(f"WHEN %(type_{number})s THEN '\\x{number:02x}'::bytea" for number in range(len(weights)))
    asked = {**params, "separator": _SEPARATOR, **{f"type_{number}": name for number, name in enumerate(weights)}}
    return cursor.execute(query.replace("{events}", _JOINED).replace("{numbered}", numbered), asked).fetchall()


def strength(types: NDArray[np.intp], values: NDArray[np.float32], weights: Mapping[str, float]) -> NDArray[np.float32]:
    """What each event says of the taste: its type's weight times its value, ratings measured from `NEUTRAL_RATING`.

    `types` are positions in `weights`; values are stars for ratings, completion for watches and 1 for the rest.
    """
    scales = np.array(list(weights.values()), dtype=np.float32)
    is_rating = types == list(weights).index("rating")
    return scales[types] * np.where(is_rating, (values - NEUTRAL_RATING) / NEUTRAL_RATING, values).astype(np.float32)
