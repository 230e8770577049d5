"""Reads the live histories of some users into the columns of a model: the database gathers them, arrays take them over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np
from psycopg import Connection

from ml_worker import events
from ml_worker.events import Events
from ml_worker.recommenders.interactions import Histories


@dataclass(frozen=True, slots=True)
class UserHistories:
    """The histories of the users that exist, in the order of `user_ids`; `counts` are their interactions.

    `preferred` are the categories that those chose who have no event a model knows of.
    """

    user_ids: list[str]
    counts: list[int]
    histories: Histories
    preferred: list[tuple[str, ...]]


# Unsorted, for that takes PostgreSQL as long as all else here, and numpy a tenth of it. User by user, for the events of all of them at once
# would be sorted together. Items go by their ids: to look up their numbers PostgreSQL would read the whole catalogue for every batch.
_HISTORIES = """
SELECT asked.user_id, told.*
FROM unnest(%(user_ids)s::text[]) AS asked (user_id)
CROSS JOIN LATERAL (
    SELECT {events} FROM interactions WHERE interactions.user_id = asked.user_id HAVING count(*) > 0
) AS told
"""


def read_histories(
    connection: Connection[Any], user_ids: Sequence[str], *, columns: Mapping[str, int], size: int, weights: Mapping[str, float]
) -> UserHistories:
    """The live histories of some users; `columns` says which column an item has, of which the first `size` are the model's.

    Items the model does not know are counted but have no column. Events are oldest first, as in `dataset.read_interactions`.
    """
    there = connection.execute("SELECT id, preferred_categories FROM users WHERE id = ANY(%s) ORDER BY id", (list(user_ids),)).fetchall()
    rows_of = {user_id: row for row, (user_id, _) in enumerate(there)}
    with connection.cursor(binary=True) as cursor:
        found = events.gather(cursor, _HISTORIES, {"user_ids": list(rows_of)}, weights)
    told = Events.of([row[2:] for row in found])
    lengths = np.array([len(row[1]) for row in found], dtype=np.int64)
    own = np.array([rows_of[row[0]] for row in found], dtype=np.int64)
    counts = np.zeros(len(there), dtype=np.int64)
    counts[own] = lengths
    items = chain.from_iterable(row[1] for row in found)
    places = np.fromiter(map(columns.get, items, repeat(size)), dtype=np.int64, count=len(told.ids))
    owners = np.repeat(own, lengths)
    order = events.in_time(owners, told.times, told.ids)
    known = order[places[order] < size]
    strengths, seconds = events.strength(told.types[known], told.values[known], weights), events.seconds(told.times[known])
    histories = Histories.from_events(owners[known], places[known], strengths, seconds, shape=(len(there), size))
    is_silent = np.diff(histories.offsets) == 0
    preferred = [tuple(chosen) if silent else () for (_, chosen), silent in zip(there, is_silent.tolist(), strict=True)]
    return UserHistories(list(rows_of), counts.tolist(), histories, preferred)


def session_histories(item_ids: Sequence[str], *, columns: Mapping[str, int]) -> UserHistories:
    """The history of somebody without a name who liked these items, in this order."""
    known = [columns[item_id] for item_id in item_ids if item_id in columns]
    histories = Histories.from_events(np.zeros(len(known)), known, np.ones(len(known)), shape=(1, len(columns)))
    return UserHistories(["session"], [0], histories, [()])
