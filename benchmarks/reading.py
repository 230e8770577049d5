"""Interactions a second that a training reads from the database into arrays, against a bare COPY of the same columns."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection

from benchmarks.drawn_interactions import draw
from benchmarks.frame import Case, Measure
from benchmarks.product import load
from benchmarks.servers import fresh_database
from core.database import Pool, make_pool, transaction
from ml_worker.dataset import read_interactions
from ml_worker.settings import DEFAULT_WEIGHTS

_COLUMNS = "COPY (SELECT user_id, item_id, type, value::float4, occurred_at, id FROM interactions) TO STDOUT (FORMAT binary)"


@contextmanager
def _readings(quick: bool) -> Iterator[tuple[Measure, Measure]]:
    interactions = draw(users=1500, items=1000, events=120_000) if quick else draw(users=6040, items=3700, events=1_000_000)
    with fresh_database() as url, psycopg.connect(url, autocommit=True) as connection, make_pool(url, max_size=1) as pool:
        load(connection, interactions)
        yield lambda: _read(pool), lambda: _copy(connection, len(interactions))


def _read(pool: Pool) -> float:
    started = time.perf_counter()
    with transaction(pool) as connection:
        count = len(read_interactions(connection, DEFAULT_WEIGHTS))
    return count / (time.perf_counter() - started)


def _copy(connection: Connection[Any], count: int) -> float:
    """Received and joined, but neither taken apart nor put in order."""
    started = time.perf_counter()
    with connection.cursor() as cursor, cursor.copy(_COLUMNS) as copy:
        b"".join(copy)
    return count / (time.perf_counter() - started)


CASES = [
    Case(
        "reading",
        "interactions/s",
        "all interactions in arrays, numbered, weighed and in order ÷ a bare COPY of their columns into memory",
        _readings,
    )
]
