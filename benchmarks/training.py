"""How long trainings take: each algorithm beside a stock library of equal settings, and a partial training beside a full one."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender
from lightfm import LightFM
from threadpoolctl import threadpool_limits

from benchmarks.drawn_interactions import draw
from benchmarks.frame import Case, Measure
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.registry import RECOMMENDERS

NEW_EVENTS = 1000
SHAPE = "1,000,000 interactions of 6,040 users with 3,700 items"


def _data(quick: bool) -> Interactions:
    return draw(users=1500, items=1000, events=120_000) if quick else draw(users=6040, items=3700, events=1_000_000)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _stock_als(interactions: Interactions) -> None:
    config = RECOMMENDERS["als"].Config().model_dump()
    with threadpool_limits(1, "blas"):
        stock = AlternatingLeastSquares(factors=config["factors"], iterations=config["iterations"], num_threads=os.cpu_count() or 1)
        stock.fit(abs(interactions.matrix()), show_progress=False)


def _stock_knn(interactions: Interactions) -> None:
    CosineRecommender(K=100, num_threads=os.cpu_count() or 1).fit(abs(interactions.matrix()), show_progress=False)


def _stock_lightfm(interactions: Interactions) -> None:
    config = RECOMMENDERS["lightfm"].Config().model_dump()
    stock = LightFM(no_components=config["factors"], loss=config["loss"], learning_rate=config["learning_rate"], random_state=0)
    stock.fit((interactions.matrix() > 0).astype(np.float32).tocoo(), epochs=config["epochs"], num_threads=1)


def _full(name: str, stock: Callable[[Interactions], None]) -> Callable[[bool], AbstractContextManager[tuple[Measure, Measure]]]:
    @contextmanager
    def prepare(quick: bool) -> Iterator[tuple[Measure, Measure]]:
        interactions = _data(quick)
        yield lambda: _seconds(lambda: RECOMMENDERS[name]().fit(interactions)), lambda: _seconds(lambda: stock(interactions))

    return prepare


def _of_many(interactions: Interactions) -> Interactions:
    """The same with events drawn at random as the last ones: of as many users as they are of, where many are there at the same time."""
    is_new = np.zeros(len(interactions), dtype=np.bool_)
    is_new[np.random.default_rng(5).choice(len(is_new), NEW_EVENTS, replace=False)] = True
    return interactions.part(np.r_[np.flatnonzero(~is_new), np.flatnonzero(is_new)])


def _of_few(interactions: Interactions) -> Interactions:
    """As they are drawn: the last events are of a handful of users."""
    return interactions


def _partial(
    name: str, arrange: Callable[[Interactions], Interactions]
) -> Callable[[bool], AbstractContextManager[tuple[Measure, Measure]]]:
    @contextmanager
    def prepare(quick: bool) -> Iterator[tuple[Measure, Measure]]:
        interactions = arrange(_data(quick))
        since = len(interactions) - NEW_EVENTS
        trained = RECOMMENDERS[name]()
        trained.fit(interactions.part(np.arange(since)))
        files = trained.save()

        def update() -> float:
            model = RECOMMENDERS[name].load(files)
            return _seconds(lambda: model.update(interactions, since=since))

        yield update, lambda: _seconds(lambda: RECOMMENDERS[name]().fit(interactions))

    return prepare


_STOCK = {
    "popular": (_stock_knn, "stock implicit item neighbours"),
    "item_knn": (_stock_knn, "stock implicit item neighbours"),
    "als": (_stock_als, "stock implicit ALS of equal factors and iterations"),
    "lightfm": (_stock_lightfm, "stock LightFM of equal settings, one thread"),
    "ease": (_stock_als, "stock implicit ALS"),
    "sequential": (_stock_als, "stock implicit ALS"),
}

CASES = [
    *(
        Case(f"train_{name}", "s", f"a: {name} by its preset on {SHAPE}; b: {against}", _full(name, stock))
        for name, (stock, against) in _STOCK.items()
    ),
    *(
        Case(
            f"partial_{name}{suffix}",
            "s",
            f"a: partial training of {name} after {NEW_EVENTS:,} new of {SHAPE}, of {whom} users; b: full training",
            _partial(name, arrange),
        )
        for name in ("als", "ease", "sequential", "lightfm")
        for suffix, whom, arrange in (("", "nearly as many", _of_many), ("_few", "nine", _of_few))
    ),
]
