"""A refresh of the lists of up to 1,000 users as one measure, beside another way to rank them."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from threadpoolctl import threadpool_limits

from benchmarks.frame import Measure
from benchmarks.peers import COUNT, Other
from benchmarks.product import load, publish
from benchmarks.servers import fresh_database
from core.artifacts import ArtifactStore
from core.database import make_pool, transaction
from core.lists import write_many
from ml_worker.ranking import make_ranker
from ml_worker.recommenders.base import Recommender
from ml_worker.recommenders.interactions import Interactions
from ml_worker.registry import Registry
from ml_worker.settings import WorkerSettings

MOST_USERS: Final = 1000

Prepare = Callable[[bool], AbstractContextManager[tuple[Measure, Measure]]]


@dataclass(frozen=True, slots=True)
class Ground:
    """On what is measured: interactions, drawn with fewer for a quick look, and the model that serves them."""

    draw: Callable[[bool], Interactions]
    model: Callable[[], Recommender]


def prepared(ground: Ground, other: Other, *, is_stored: bool = True) -> Prepare:
    """A refresh by one worker, measured against what `other` prepares on the same model; both without threads of BLAS."""

    @contextmanager
    def prepare(quick: bool) -> Iterator[tuple[Measure, Measure]]:
        interactions, model = ground.draw(quick), ground.model()
        users = min(MOST_USERS, len(interactions.user_ids))
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
