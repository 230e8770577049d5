"""Lists a second of a refresh of all users: against the bare product of matrices, and against libraries called user by user."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import psycopg
from implicit.cpu.als import AlternatingLeastSquares
from lightfm import LightFM
from threadpoolctl import threadpool_limits

from benchmarks.drawn_interactions import draw
from benchmarks.frame import Case, Measure
from benchmarks.product import load, publish
from benchmarks.servers import fresh_database
from core.artifacts import ArtifactStore
from core.database import make_pool, transaction
from core.lists import write_many
from ml_worker.ranking import make_ranker
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.selection import best_first
from ml_worker.registry import Registry
from ml_worker.settings import WorkerSettings

COUNT = 100
BATCH = 256
FACTORS = 64


def _data(quick: bool) -> Interactions:
    return draw(users=1000, items=1000, events=60_000) if quick else draw(users=6040, items=3700, events=600_000)


Prepare = Callable[[bool], AbstractContextManager[tuple[Measure, Measure]]]
Other = Callable[[Interactions], Callable[[int], None]]
"""Prepares on some interactions what ranks so many users."""


def _case(other: Other, *, is_stored: bool) -> Prepare:
    @contextmanager
    def prepare(quick: bool) -> Iterator[tuple[Measure, Measure]]:
        interactions = _data(quick)
        users = min(1000, len(interactions.user_ids))
        with (
            threadpool_limits(1, "blas"),
            fresh_database() as url,
            tempfile.TemporaryDirectory() as folder,
            psycopg.connect(url, autocommit=True) as connection,
            make_pool(url, max_size=2) as pool,
        ):
            load(connection, interactions)
            publish(url, folder, interactions)
            settings = WorkerSettings.model_validate({"database_url": url, "artifacts_url": folder, "list_length": COUNT})
            ranker = make_ranker(pool, Registry(ArtifactStore(Path(folder))), settings)
            rank_others = other(interactions)

            def ours() -> float:
                started = time.perf_counter()
                made = list(ranker.compute_many(interactions.user_ids[:users], report=lambda _done: None).values())
                if is_stored:
                    with transaction(pool) as writing:
                        write_many(writing, made)
                return users / (time.perf_counter() - started)

            def theirs() -> float:
                started = time.perf_counter()
                rank_others(users)
                return users / (time.perf_counter() - started)

            yield ours, theirs

    return prepare


def _bare(interactions: Interactions) -> Callable[[int], None]:
    """Histories times weights as a dense product in batches, and the best of each row: nothing is read, explained or stored.

    The shapes are those of the model the other side serves. That may do less: of its weights 200 a row are not 0, and it multiplies only
    what histories hold. The dense product is what a library of linear algebra does with these arrays, so it stays the limit.
    """
    items = len(interactions.item_ids)
    weights = np.random.default_rng(0).standard_normal((items, items), dtype=np.float32)
    matrix = interactions.histories().matrix

    def rank(users: int) -> None:
        for start in range(0, users, BATCH):
            best_first(matrix[start : start + BATCH].toarray() @ weights, count=COUNT)

    return rank


def _implicit(interactions: Interactions) -> Callable[[int], None]:
    matrix = abs(interactions.matrix()).tocsr()
    model = AlternatingLeastSquares(factors=FACTORS, iterations=3, num_threads=1)
    model.fit(matrix, show_progress=False)

    def rank(users: int) -> None:
        for user in range(users):
            model.recommend(user, matrix[user], N=COUNT, recalculate_user=True)

    return rank


def _lightfm(interactions: Interactions) -> Callable[[int], None]:
    matrix = interactions.matrix()
    model = LightFM(no_components=FACTORS, loss="warp", random_state=1)
    model.fit((matrix > 0).astype(np.float32).tocoo(), epochs=1)
    items = np.arange(len(interactions.item_ids), dtype=np.int32)

    def rank(users: int) -> None:
        for user in range(users):
            scores = model.predict(user, items)
            best_first(scores[None, :].astype(np.float32), count=COUNT)

    return rank


CASES = [
    Case(
        "refresh.limit",
        "lists/s",
        "read, ranked, explained and stored ÷ bare product and selection of the best",
        _case(_bare, is_stored=True),
    ),
    Case("refresh.ranked", "lists/s", "read, ranked and explained ÷ bare product and selection of the best", _case(_bare, is_stored=False)),
    Case("refresh.implicit", "lists/s", "a refresh ÷ implicit's recommend for each user", _case(_implicit, is_stored=True)),
    Case("refresh.lightfm", "lists/s", "a refresh ÷ LightFM's predict for each user", _case(_lightfm, is_stored=True)),
]
