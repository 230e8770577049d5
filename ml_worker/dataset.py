"""Reads what trainings and refreshes begin with: all interactions as arrays, how many are new, and who there is."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from scipy.sparse import csr_matrix

from ml_worker import events
from ml_worker.events import Events
from ml_worker.recommenders.interactions import Interactions

LAST_ID = 2**63 - 1
"""No interaction has a greater id."""

_PAGES: Final = 512
"""So many pages of the table, some 50,000 interactions, are read at a time: whatever its size, little is in memory twice."""
# The table from its first page to its last, neither sorted nor joined there: that took four times as long.
_STRETCH = """
SELECT string_agg(user_id, %(separator)s), {events} FROM interactions
WHERE ctid >= %(first)s::text::tid AND ctid < %(end)s::text::tid HAVING count(*) > 0
"""


def read_interactions(
    connection: Connection[Any], weights: Mapping[str, float], *, after: int = LAST_ID, report: Callable[[int], None] = lambda _count: None
) -> Interactions:
    """Everything that happened, oldest first. Every item is in the vocabulary, also those nobody met.

    `weights` maps an interaction type to its strength; see `events.strength`. What arrived after the interaction with the id `after`
    comes last, again oldest first. `report` is told how many were read, and may raise to stop it. Must be the first to use its
    transaction, which from then on sees nothing newer.
    """
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # the vocabularies and the rows must agree
    user_ids = [row[0] for row in connection.execute("SELECT DISTINCT user_id FROM interactions ORDER BY user_id")]
    item_ids = [row[0] for row in connection.execute("SELECT id FROM items ORDER BY id")]
    columns = [np.concatenate(parts) for parts in zip(_NOTHING, *_stretches(connection, weights, user_ids, item_ids, report), strict=True)]
    users, items, strengths, times, ids = columns
    order = events.in_time((ids > after).astype(np.int64), times, ids)
    return Interactions(
        user_ids=tuple(user_ids),
        item_ids=tuple(item_ids),
        users=users[order],
        items=items[order],
        weights=strengths[order],
        times=events.seconds(times[order]),
        item_features=_features(connection, _ITEM_WORDS),
        user_features=_features(connection, _USER_WORDS),
    )


_Columns = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]
_NOTHING: Final = tuple(np.empty(0, dtype=kind) for kind in (np.int32, np.int32, np.float32, np.int64, np.int64))


def _stretches(
    connection: Connection[Any], weights: Mapping[str, float], user_ids: list[str], item_ids: list[str], report: Callable[[int], None]
) -> Iterator[_Columns]:
    """Users, items, strengths, times in microseconds and ids of the interactions, a stretch of the table at a time."""
    row_of, column_of = ({known: place for place, known in enumerate(ids)} for ids in (user_ids, item_ids))
    (pages,) = connection.execute("SELECT pg_relation_size('interactions') / current_setting('block_size')::int").fetchone() or (0,)
    count = 0
    with connection.cursor(binary=True) as cursor:
        for first in range(0, pages, _PAGES):
            stretch = {"first": f"({first},0)", "end": f"({first + _PAGES},0)"}
            for owners, items, *told in events.gather(cursor, _STRETCH, stretch, weights):
                some = Events.of([told])
                users = np.fromiter(map(row_of.__getitem__, events.split([owners])), dtype=np.int32, count=len(some.ids))
                columns = np.fromiter(map(column_of.__getitem__, events.split([items])), dtype=np.int32, count=len(some.ids))
                yield users, columns, events.strength(some.types, some.values, weights), some.times, some.ids
                count += len(users)
            report(count)


# In the order of the vocabularies above. Years are told by the decade.
_ITEM_WORDS = """
SELECT array(SELECT 'category ' || unnest(categories) UNION SELECT 'tag ' || unnest(tags)
             UNION SELECT 'decade ' || extract(decade FROM released_at AT TIME ZONE 'UTC') WHERE released_at IS NOT NULL)
FROM items ORDER BY id
"""
_USER_WORDS = """
SELECT array(SELECT 'category ' || unnest(preferred_categories))
FROM users WHERE EXISTS (SELECT FROM interactions WHERE user_id = users.id) ORDER BY id
"""


def _features(connection: Connection[Any], words: LiteralString) -> csr_matrix | None:
    """Which words each row has, as ones [rows × words in order of the alphabet]; None where nothing has any."""
    of_rows: list[list[str]] = [row[0] for row in connection.execute(words)]
    column = {word: number for number, word in enumerate(sorted({word for of_row in of_rows for word in of_row}))}
    if not column:
        return None
    places = [(row, column[word]) for row, of_row in enumerate(of_rows) for word in set(of_row)]
    return csr_matrix((np.ones(len(places), dtype=np.float32), np.array(places).T), shape=(len(of_rows), len(column)))


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How many interactions there are up to the one with some id, how many came later, and the id of the latest (0 for none)."""

    known_count: int
    new_count: int
    last_id: int


def read_arrivals(connection: Connection[Any], *, after: int = LAST_ID) -> Arrivals:
    """What came after the interaction with the id `after`, by the order in which the database took it in."""
    counts = (
        "SELECT count(*) FILTER (WHERE id <= %(after)s), count(*) FILTER (WHERE id > %(after)s), coalesce(max(id), 0) FROM interactions"
    )
    row = connection.execute(counts, {"after": after}).fetchone()
    assert row is not None
    return Arrivals(*row)


def count_users(connection: Connection[Any]) -> int:
    """How many users there are."""
    row = connection.execute("SELECT count(*) FROM users").fetchone()
    return int(row[0]) if row else 0


def read_shard(connection: Connection[Any], *, shard: int, shard_count: int) -> list[str]:
    """The users of one of `shard_count` disjoint shards that together hold every user."""
    found = connection.execute(
        "SELECT id FROM users WHERE mod(hashtextextended(id, 0) & 9223372036854775807, %s) = %s ORDER BY id", (shard_count, shard)
    )
    return [row[0] for row in found]
