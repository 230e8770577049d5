"""Reads tables into arrays: all interactions for training, the live histories of some users for ranking."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection, sql
from scipy.sparse import csr_matrix

from ml_worker.recommenders.interactions import Interactions

NEUTRAL_RATING = 2.5
"""The rating that says nothing: 5 stars weigh +1, 0.5 stars −0.8 times the weight of ratings."""

LAST_ID = 2**63 - 1
"""No interaction has a greater id."""

# Row numbers stand for ids, so that every row has the same width and the whole table is read as one array.
_COPY = """
COPY (
    WITH met AS (SELECT DISTINCT user_id AS id FROM interactions),
         numbered_users AS (SELECT id, row_number() OVER (ORDER BY id) - 1 AS number FROM met),
         numbered_items AS (SELECT id, row_number() OVER (ORDER BY id) - 1 AS number FROM items)
    SELECT numbered_users.number::int4, numbered_items.number::int4,
           array_position({types}::text[], type)::int4 - 1, value::float4, extract(epoch FROM occurred_at)::int8
    FROM interactions
    JOIN numbered_users ON numbered_users.id = user_id
    JOIN numbered_items ON numbered_items.id = item_id
    ORDER BY interactions.id > {after}, occurred_at, interactions.id
) TO STDOUT (FORMAT binary)
"""
_HEADER_BYTES, _TRAILER_BYTES = 19, 2
# PostgreSQL's binary COPY: a field count, then each field behind its length, all big-endian.
_ROW = np.dtype(
    [
        ("field_count", ">i2"),
        ("l1", ">i4"), ("user", ">i4"),
        ("l2", ">i4"), ("item", ">i4"),
        ("l3", ">i4"), ("type", ">i4"),
        ("l4", ">i4"), ("value", ">f4"),
        ("l5", ">i4"), ("time", ">i8"),
    ]
)  # fmt: skip


def read_interactions(connection: Connection[Any], weights: Mapping[str, float], *, after: int = LAST_ID) -> Interactions:
    """Everything that happened, oldest first. Every item is in the vocabulary, also those nobody met.

    `weights` maps an interaction type to its strength; see `strength`. What arrived after the interaction with the id `after`
    comes last, again oldest first. Must be the first to use its transaction, which from then on sees nothing newer.
    """
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # the vocabularies and the rows must agree
    user_ids = [row[0] for row in connection.execute("SELECT DISTINCT user_id FROM interactions ORDER BY user_id")]
    item_ids = [row[0] for row in connection.execute("SELECT id FROM items ORDER BY id")]
    types = list(weights)
    with connection.cursor() as cursor, cursor.copy(sql.SQL(_COPY).format(types=sql.Literal(types), after=sql.Literal(after))) as copy:
        data = b"".join(copy)
    rows = np.frombuffer(data, dtype=_ROW, offset=_HEADER_BYTES, count=(len(data) - _HEADER_BYTES - _TRAILER_BYTES) // _ROW.itemsize)
    return Interactions(
        user_ids=tuple(user_ids),
        item_ids=tuple(item_ids),
        users=rows["user"].astype(np.int32),
        items=rows["item"].astype(np.int32),
        weights=strength(rows["type"].astype(np.intp), rows["value"].astype(np.float32), weights),
        times=rows["time"].astype(np.int64),
        item_features=_features(connection, _ITEM_WORDS),
        user_features=_features(connection, _USER_WORDS),
    )


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


def strength(types: NDArray[np.intp], values: NDArray[np.float32], weights: Mapping[str, float]) -> NDArray[np.float32]:
    """What each event says of the taste: its type's weight times its value, ratings measured from `NEUTRAL_RATING`.

    `types` are positions in `weights`; values are stars for ratings, completion for watches and 1 for the rest.
    """
    scales = np.array(list(weights.values()), dtype=np.float32)
    is_rating = types == list(weights).index("rating")
    return scales[types] * np.where(is_rating, (values - NEUTRAL_RATING) / NEUTRAL_RATING, values).astype(np.float32)


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
