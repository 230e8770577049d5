"""What a refresh is measured against: the bare product of a model's arrays, and libraries called user by user as their users call them."""

from collections.abc import Callable
from typing import Final

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from lightfm import LightFM
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.recommenders.als import Als
from ml_worker.recommenders.base import Recommender
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.lightfm import LightFm
from ml_worker.recommenders.selection import best_first
from ml_worker.recommenders.state import unpack

COUNT: Final = 100
BATCH: Final = 256
FACTORS: Final = 64

Rank = Callable[[int], None]
"""Ranks so many users, the first of the interactions."""
Other = Callable[[Interactions, Recommender], Rank]
"""Prepares it on some interactions, and the model trained on them that the other side serves."""


def bare_weights(interactions: Interactions, _model: Recommender) -> Rank:
    """Of a linear model: histories times weights as a dense product in batches, and the best of each row; nothing else.

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


def bare_factors(interactions: Interactions, model: Recommender) -> Rank:
    """Of ALS: factors of users, solved beforehand, times those of items in batches, and the best of each row; nothing else."""
    solver, matrix = _solver(interactions, model)
    users = solver.recalculate_user(np.arange(matrix.shape[0]), matrix)

    def rank(count: int) -> None:
        for start in range(0, count, BATCH):
            best_first(users[start : start + BATCH] @ solver.item_factors.T, count=COUNT)

    return rank


def implicit_live(interactions: Interactions, model: Recommender) -> Rank:
    """Implicit's `recommend` with the very factors of an ALS model, one user after the other, each solved from the live history.

    Who serves people who go on clicking, or who came after the training, has to call it so; a refresh solves everybody as well.
    """
    return _recommending(*_solver(interactions, model))


def implicit_trained(interactions: Interactions, model: Recommender) -> Rank:
    """The same with the factors that users had when the model was trained: quicker, and lists that no later event moves."""
    solver, matrix = _solver(interactions, model)
    solver.user_factors = solver.recalculate_user(np.arange(matrix.shape[0]), matrix)

    def rank(users: int) -> None:
        for user in range(users):
            solver.recommend(user, matrix[user], N=COUNT)

    return rank


def implicit_other(interactions: Interactions, _model: Recommender) -> Rank:
    """Implicit's `recommend` from live histories with a model of its own, beside a model that is no ALS."""
    matrix = abs(interactions.matrix()).tocsr()
    trained = AlternatingLeastSquares(factors=FACTORS, iterations=3, num_threads=1)
    trained.fit(matrix, show_progress=False)
    return _recommending(trained, matrix)


def lightfm(interactions: Interactions, model: Recommender) -> Rank:
    """LightFM's `predict` of all items for one user after the other, and the best of them; with the vectors of the model if it has such."""
    matrix = interactions.matrix()
    trained = LightFM(no_components=FACTORS, loss="warp", random_state=1)
    trained.fit((matrix > 0).astype(np.float32).tocoo(), epochs=1)
    if isinstance(model, LightFm):
        vectors = unpack(model.save()).arrays["vectors"]
        trained.item_embeddings, trained.item_biases = (np.array(part, order="C") for part in (vectors[:, :-1], vectors[:, -1]))
    items = np.arange(len(interactions.item_ids), dtype=np.int32)

    def rank(users: int) -> None:
        for user in range(users):
            scores: NDArray[np.float32] = trained.predict(user, items)
            best_first(scores[None, :], count=COUNT)

    return rank


def _recommending(solver: AlternatingLeastSquares, matrix: csr_matrix) -> Rank:
    def rank(users: int) -> None:
        for user in range(users):
            solver.recommend(user, matrix[user], N=COUNT, recalculate_user=True)

    return rank


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
