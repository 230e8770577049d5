"""A small catalogue with a clear taste in it, real ratings, and slots that run in the test."""

import csv
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from psycopg import Connection

from core.artifacts import ArtifactStore
from core.database import Pool, make_pool
from ml_worker.bell import DatabaseBell
from ml_worker.children import Children
from ml_worker.handlers.base import Context, Handler
from ml_worker.handlers.registry import HANDLERS
from ml_worker.leases import Leases
from ml_worker.ranking import Ranker
from ml_worker.recommenders.interactions import Interactions
from ml_worker.registry import Registry
from ml_worker.settings import WorkerSettings
from ml_worker.slots import Slot

MakeSlot = Callable[..., Slot]


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with make_pool(database_url, max_size=4) as pool:
        yield pool


@pytest.fixture
def settings(database_url: str, tmp_path) -> WorkerSettings:
    return WorkerSettings(_env_file=None, database_url=database_url, artifacts_url=tmp_path, lease_seconds=30, poll_seconds=0.05)


@pytest.fixture
def leases(pool: Pool, settings: WorkerSettings) -> Leases:
    return Leases(pool, lease_seconds=settings.lease_seconds)


@pytest.fixture
def make_slot(pool: Pool, settings: WorkerSettings, leases: Leases, tmp_path) -> MakeSlot:
    """Makes a slot for a queue, by default with the real handlers."""
    registry = Registry(ArtifactStore(tmp_path))
    ranker = Ranker(pool, registry, weights=settings.interaction_weights, list_length=settings.list_length)
    context = Context(pool, registry, ranker, settings, progress=lambda done, note=None: None)
    bell = DatabaseBell(settings.database_url.get_secret_value(), queues=settings.worker_queues)

    def make(queue: str = "interactive", handlers: Mapping[str, Handler[Any]] = HANDLERS, hand_back: threading.Event | None = None) -> Slot:
        return Slot(queue, "tester", bell, leases, context, handlers, Children(settings), hand_back or threading.Event())  # type: ignore[arg-type]

    return make


@pytest.fixture
def catalogue(connection: Connection[Any]) -> None:
    """Ten westerns w0…w9, ten comedies c0…c9; users u0…u19, even ones like westerns, odd ones comedies; `stranger` likes nothing."""
    connection.execute("INSERT INTO items (id, title) SELECT g || n, g || n FROM generate_series(0, 9) n, unnest(ARRAY['w', 'c']) g")
    connection.execute("INSERT INTO users (id) SELECT 'u' || n FROM generate_series(0, 19) n UNION SELECT 'stranger'")
    connection.execute(
        """INSERT INTO interactions (user_id, item_id, type, value, occurred_at)
           SELECT 'u' || u, CASE u % 2 WHEN 0 THEN 'w' ELSE 'c' END || i, 'rating', 5, now() - (u * 10 + i) * interval '1 minute'
           FROM generate_series(0, 19) u, generate_series(0, 9) i WHERE i <> (u / 2) % 10"""
    )


@pytest.fixture(scope="session")
def ratings(movielens: Path) -> Interactions:
    """Ratings as weights: 5 stars 1, 2.5 stars 0, half a star −0.8."""
    with (movielens / "ratings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    stars = np.array([float(row["rating"]) for row in rows])
    times = [int(row["timestamp"]) for row in rows]
    return Interactions.from_events([row["userId"] for row in rows], [row["movieId"] for row in rows], (stars - 2.5) / 2.5, times)


@pytest.fixture(scope="session")
def drawn() -> Interactions:
    """60 users of two tastes over 40 items of two kinds; a quarter liked, some disliked, some seen without a verdict."""
    rng = np.random.default_rng(7)
    users, items = np.divmod(np.arange(60 * 40), 40)
    is_met = rng.random(len(users)) < np.where((users + items) % 2 == 0, 0.5, 0.1)
    users, items = users[is_met], items[is_met]
    liked = rng.choice([1.0, 0.4, 0.0], len(users), p=[0.6, 0.3, 0.1])
    weights = np.where((users + items) % 2 == 0, liked, -0.5)
    return Interactions(
        user_ids=tuple(f"user {n}" for n in range(60)),
        item_ids=tuple(f"item {n}" for n in range(40)),
        users=users.astype(np.int32),
        items=items.astype(np.int32),
        weights=weights.astype(np.float32),
        times=np.arange(len(users), dtype=np.int64),
    )
