"""A refresh with ALS on 100,000 users × 50,000 items: against the bare product of its factors, and libraries called user by user."""

from collections.abc import Callable
from typing import Final

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from benchmarks.drawn_interactions import draw
from benchmarks.frame import Case
from benchmarks.product import LARGE
from benchmarks.refresh import BATCH, COUNT, Ground, by_lightfm, prepared, recommending
from ml_worker.recommenders.als import Als
from ml_worker.recommenders.base import Recommender
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.selection import best_first
from ml_worker.recommenders.state import unpack

_SHAPE: Final = f"{LARGE['users']:,} users × {LARGE['items']:,} items, 64 factors"


def _data(quick: bool) -> Interactions:
    return draw(**({"users": 2000, "items": 20_000, "events": 100_000} if quick else LARGE))


def _solver(interactions: Interactions, model: Recommender) -> tuple[AlternatingLeastSquares, csr_matrix]:
    """The model in implicit's hands: the same factors of items and regularization, and the histories with the same confidences."""
    assert isinstance(model, Als)
    matrix = interactions.matrix()
    confidence = np.sign(matrix.data) * (1 + model.config.alpha * np.log2(1 + np.abs(matrix.data)))
    arrays = unpack(model.save()).arrays
    regularization = float(arrays["regularization"])
    solver = AlternatingLeastSquares(factors=model.config.factors, regularization=regularization, alpha=1.0, num_threads=1)
    solver.item_factors = arrays["item_factors"].copy()  # its compiled part asks for what may be written to
    return solver, csr_matrix((confidence.astype(np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)


def _bare(interactions: Interactions, model: Recommender) -> Callable[[int], None]:
    """Factors of users, solved beforehand, times those of items in batches, and the best of each row: nothing else."""
    solver, matrix = _solver(interactions, model)
    factors = solver.recalculate_user(np.arange(1000), matrix[:1000])

    def rank(users: int) -> None:
        for start in range(0, users, BATCH):
            best_first(factors[start : start + BATCH] @ solver.item_factors.T, count=COUNT)

    return rank


def _implicit(interactions: Interactions, model: Recommender) -> Callable[[int], None]:
    return recommending(*_solver(interactions, model))


_GROUND: Final = Ground(_data, lambda: Als(Als.Config(iterations=2)))

CASES = [
    Case(
        "large.refresh_limit",
        "lists/s",
        f"read, solved, ranked, explained and stored ÷ bare product of factors and selection of the best; {_SHAPE}",
        prepared(_GROUND, _bare),
    ),
    Case("large.refresh_implicit", "lists/s", f"a refresh ÷ implicit's recommend for each user; {_SHAPE}", prepared(_GROUND, _implicit)),
    Case("large.refresh_lightfm", "lists/s", f"a refresh ÷ LightFM's predict for each user; {_SHAPE}", prepared(_GROUND, by_lightfm)),
]
