"""Reads the live histories of some users into the columns of a model: the database joins them, arrays take them over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import itemgetter
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
SELECT users.id, users.preferred_categories, told.*
FROM users CROSS JOIN LATERAL (SELECT {events} FROM interactions WHERE interactions.user_id = users.id) AS told
WHERE users.id = ANY (string_to_array(%(user_ids)s, %(separator)s))
"""


def read_histories(
    connection: Connection[Any], user_ids: Sequence[str], *, columns: Mapping[str, int], size: int, weights: Mapping[str, float]
) -> UserHistories:
    """The live histories of some users; `columns` says which column an item has, of which the first `size` are the model's.

    Items the model does not know are counted but have no column. Events are oldest first, as in `dataset.read_interactions`.
    """
    with connection.cursor(binary=True) as cursor:
        # As one string, for a list is written by the client an element at a time.
        there = sorted(events.gather(cursor, _HISTORIES, {"user_ids": events.joined(user_ids)}, weights), key=itemgetter(0))
    active = [row for row in there if row[2] is not None]
    told = Events.of([row[3:] for row in active])
    counts = [len(row[3] or b"") for row in there]  # a type is a byte
    owners = np.repeat(np.arange(len(there)), counts)
    places = np.fromiter(map(columns.get, events.split(row[2] for row in active), repeat(size)), dtype=np.int64, count=len(owners))
    order = events.in_time(owners, told.times, told.ids)
    known = order[places[order] < size]
    strengths, seconds = events.strength(told.types[known], told.values[known], weights), events.seconds(told.times[known])
    histories = Histories.from_events(owners[known], places[known], strengths, seconds, shape=(len(there), size))
    is_silent = np.diff(histories.offsets) == 0
    preferred = [tuple(row[1]) if silent else () for row, silent in zip(there, is_silent.tolist(), strict=True)]
    return UserHistories([row[0] for row in there], counts, histories, preferred)


def session_histories(item_ids: Sequence[str], *, columns: Mapping[str, int]) -> UserHistories:
    """The history of somebody without a name who liked these items, in this order."""
    known = [columns[item_id] for item_id in item_ids if item_id in columns]
    histories = Histories.from_events(np.zeros(len(known)), known, np.ones(len(known)), shape=(1, len(columns)))
    return UserHistories(["session"], [0], histories, [()])
