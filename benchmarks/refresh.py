"""Lists a second of a refresh of all users: against the bare product of matrices, and against libraries called user by user."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg
from implicit.cpu.als import AlternatingLeastSquares
from lightfm import LightFM
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from benchmarks.frame import Case, Measure
from benchmarks.product import given_or_drawn, load, publish
from benchmarks.servers import fresh_database
from core.artifacts import ArtifactStore
from core.database import make_pool, transaction
from core.lists import write_many
from ml_worker.ranking import make_ranker
from ml_worker.recommenders.base import Recommender
from ml_worker.recommenders.ease import Ease
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.selection import best_first
from ml_worker.registry import Registry
from ml_worker.settings import WorkerSettings

COUNT = 100
BATCH = 256
FACTORS = 64


def _data(quick: bool) -> Interactions:
    size = {"users": 1000, "items": 1000, "events": 60_000} if quick else {"users": 6040, "items": 3700, "events": 600_000}
    return given_or_drawn(**size)


Prepare = Callable[[bool], AbstractContextManager[tuple[Measure, Measure]]]
Other = Callable[[Interactions, Recommender], Callable[[int], None]]
"""Prepares on some interactions, and the model trained on them, what ranks so many users."""


@dataclass(frozen=True, slots=True)
class Ground:
    """On what is measured: interactions, drawn with fewer for a quick look, and the model that serves them."""

    draw: Callable[[bool], Interactions]
    model: Callable[[], Recommender]


def prepared(ground: Ground, other: Other, *, is_stored: bool = True) -> Prepare:
    """A refresh of the lists of up to 1,000 users, measured against what `other` prepares; both without threads of BLAS."""

    @contextmanager
    def prepare(quick: bool) -> Iterator[tuple[Measure, Measure]]:
        interactions, model = ground.draw(quick), ground.model()
        users = min(1000, len(interactions.user_ids))
        with (
            threadpool_limits(1, "blas"),
            fresh_database() as url,
            tempfile.TemporaryDirectory() as folder,
            psycopg.connect(url, autocommit=True) as connection,
            make_pool(url, max_size=2) as pool,
        ):
            load(connection, interactions)
            publish(url, folder, interactions, model)
            settings = WorkerSettings.model_validate({"database_url": url, "artifacts_url": folder, "list_length": COUNT})
            ranker = make_ranker(pool, Registry(ArtifactStore(Path(folder))), settings)
            rank_others = other(interactions, model)

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


def _bare(interactions: Interactions, _model: Recommender) -> Callable[[int], None]:
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


def recommending(model: AlternatingLeastSquares, matrix: csr_matrix) -> Callable[[int], None]:
    """Ranks users by `recommend`, one after the other, as from live histories: the user is solved anew."""

    def rank(users: int) -> None:
        for user in range(users):
            model.recommend(user, matrix[user], N=COUNT, recalculate_user=True)

    return rank


def _implicit(interactions: Interactions, _model: Recommender) -> Callable[[int], None]:
    matrix = abs(interactions.matrix()).tocsr()
    model = AlternatingLeastSquares(factors=FACTORS, iterations=3, num_threads=1)
    model.fit(matrix, show_progress=False)

    return recommending(model, matrix)


def by_lightfm(interactions: Interactions, _model: Recommender) -> Callable[[int], None]:
    """LightFM's `predict` of all items for one user after the other, and the best of them."""
    matrix = interactions.matrix()
    model = LightFM(no_components=FACTORS, loss="warp", random_state=1)
    model.fit((matrix > 0).astype(np.float32).tocoo(), epochs=1)
    items = np.arange(len(interactions.item_ids), dtype=np.int32)

    def rank(users: int) -> None:
        for user in range(users):
            scores = model.predict(user, items)
            best_first(scores[None, :].astype(np.float32), count=COUNT)

    return rank


_GROUND = Ground(_data, Ease)

CASES = [
    Case(
        "refresh.limit",
        "lists/s",
        "read, ranked, explained and stored ÷ bare product and selection of the best",
        prepared(_GROUND, _bare),
    ),
    Case(
        "refresh.ranked",
        "lists/s",
        "read, ranked and explained ÷ bare product and selection of the best",
        prepared(_GROUND, _bare, is_stored=False),
    ),
    Case("refresh.implicit", "lists/s", "a refresh ÷ implicit's recommend for each user", prepared(_GROUND, _implicit)),
    Case("refresh.lightfm", "lists/s", "a refresh ÷ LightFM's predict for each user", prepared(_GROUND, by_lightfm)),
]
