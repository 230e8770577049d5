"""Alternating least squares for implicit feedback (Hu, Koren, Volinsky 2008): trained by `implicit`, served by numpy."""

import math
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.recommender_base import ModelFitError
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from ml_worker.recommenders.answers import Answer
from ml_worker.recommenders.base import Arrays, Layout, Progress, Recommender, TrainingDiverged
from ml_worker.recommenders.factor_answers import FactorAnswer
from ml_worker.recommenders.fold_in import Equations, FoldIn, Weighed
from ml_worker.recommenders.inner_product import InnerProductIndex
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.neighbours import content_rows
from ml_worker.recommenders.state import DamagedModel
from ml_worker.recommenders.updating import Earlier

_GRAM_ROWS: Final = 4096
_FOLD_IN_STEPS: Final = 8
"""Of conjugate gradients for the users of a partial training: within 0.0005 of the exact solution; trainings take 3 a pass."""


class Als(Recommender):
    """Factors of users and items whose product says how sure we are that a user likes an item.

    What a pair weighs in the loss, its confidence, is 1 + alpha · log2(1 + |weight|): liked pairs pull towards 1, disliked ones with
    the same force towards 0, pairs never met towards 0 with confidence 1, and pairs met without a verdict not at all.
    Users are not stored: their factors are solved from the live history (fold-in), so a model knows nobody and serves everybody.
    Items nobody liked get the factors that a ridge regression of the others' makes of their features, where items have features.
    """

    name: ClassVar[str] = "als"
    quality_floor: ClassVar[float] = 0.33  # measured: 0.342
    can_update: ClassVar[bool] = True
    scores_anyone: ClassVar[bool] = True
    libraries: ClassVar[tuple[str, ...]] = ("implicit", "numpy", "scipy")

    class Config(Recommender.Config):
        """The preset; how it was chosen and how well it transfers is in docs/decisions/0005-als-preset.md."""

        factors: int = Field(default=64, ge=1, le=1024, description="Length of the vectors.")
        iterations: int = Field(default=12, ge=1, le=1000, description="Passes over users and items.")
        alpha: float = Field(default=4.0, gt=0, le=1e6, description="How much more a pair of weight 1 counts than a pair never met.")
        regularization: float = Field(default=0.5, gt=0, le=1e6, description="In units of what noise of the same energy would need.")
        seed: int = Field(default=0, ge=0, lt=2**32, description="Of the first factors; same data and seed, same model.")

    config: Config

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        signed = _confidence(interactions.matrix(), self.config.alpha)
        regularization = self.config.regularization * _noise_norm(signed)

        def report(iteration: int, *_timing: object) -> None:
            progress((iteration + 1) / self.config.iterations, f"iteration {iteration + 1} of {self.config.iterations}")

        # Implicit has its own threads; BLAS threads below them slow it down many times, and it warns where it finds them.
        with threadpool_limits(1, "blas"):
            # Always a new object: fitting one again would start from its old factors.
            trained = AlternatingLeastSquares(
                factors=self.config.factors,
                regularization=regularization,
                alpha=1.0,  # already in the matrix
                iterations=self.config.iterations,
                random_state=self.config.seed,
            )
            try:
                trained.fit(signed, show_progress=False, callback=report)
            except ModelFitError as error:
                raise TrainingDiverged(f"als: the factors are not finite after training with {self.config!r}") from error
        users = trained.user_factors[np.diff(signed.indptr) > 0]
        return {
            "item_factors": _with_cold(
                trained.item_factors, interactions, np.bincount(signed.indices[signed.data > 0], minlength=signed.shape[1])
            ),
            "regularization": np.array(regularization, dtype=np.float32),
            "user_moment": (users.T @ users / max(len(users), 1)).astype(np.float32),
        }

    def _update(self, earlier: Earlier, progress: Progress) -> Arrays:
        """Half a pass for whom it concerns: users with new events are folded in, then the items they met are solved again.

        What an item's earlier users contribute to its equations is estimated: their number and confidence times the mean moment of all
        users' factors. The earlier factor solves these equations, and the new pairs are added to both sides.
        """
        regularization = earlier.arrays["regularization"]
        # What an item without likes was given for its features is no evidence.
        items = np.where(earlier.moved("popularity")[:, None] > 0, earlier.moved("item_factors"), np.float32(0))
        changes = earlier.changes
        now, then = (_signed_confidence(weights, self.config.alpha) for weights in (changes.after, changes.before))
        more = np.abs(now) - np.abs(then) - (now != 0) + (then != 0)
        likes = np.maximum(now, 0) - np.maximum(then, 0)
        moved = np.flatnonzero((more != 0) | (likes != 0))
        users = self._users(_confidence(earlier.matrix, self.config.alpha), items, float(regularization))
        progress(0.5, f"{len(users)} users solved again")
        touched, place = np.unique(changes.items[moved], return_inverse=True)
        earlier_users = earlier.user_count() + self._confidence_of_earlier(earlier)[touched]
        # In the basis in which the mean moment is diagonal, so are the equations of all items before the new pairs.
        values, basis = np.linalg.eigh(earlier.arrays["user_moment"].astype(np.float64))
        equations = _Equations(items[touched] @ basis, earlier_users[:, None] * np.maximum(values, 0) + float(regularization))
        solved = equations.with_pairs(place, users[changes.rows[moved]] @ basis, more[moved], likes[moved])
        items[touched] = solved @ basis.T
        progress(1.0, f"{len(touched)} items solved again")
        offered = _with_cold(items, earlier.interactions, earlier.popularity())
        return {"item_factors": offered, "regularization": regularization, "user_moment": earlier.arrays["user_moment"]}

    def _users(self, signed: csr_matrix, items: NDArray[np.float32], regularization: float) -> NDArray[np.float64]:
        """Some users folded in [users × factors]."""
        users = np.zeros((signed.shape[0], self.config.factors), dtype=np.float32)
        with threadpool_limits(1, "blas"):
            solver = AlternatingLeastSquares(factors=self.config.factors, regularization=regularization, alpha=1.0)
            solver.cg_steps = _FOLD_IN_STEPS
            solver.solver(signed, users, items, regularization, num_threads=solver.num_threads)
        return users.astype(np.float64)

    def _confidence_of_earlier(self, earlier: Earlier) -> NDArray[np.float64]:
        """Σ(c − 1) over the earlier events of each item."""
        weights, items = earlier.interactions.weights[: earlier.since], earlier.interactions.items[: earlier.since]
        more = self.config.alpha * np.log2(1 + np.abs(weights))
        sums: NDArray[np.float64] = np.bincount(items, weights=more, minlength=len(earlier.interactions.item_ids)).astype(np.float64)
        return sums

    @classmethod
    def _predicted_bytes(cls, config: Any, users: int, items: int, events: int) -> int:
        size: int = 8 * config.factors * (users + items)
        return size + 24 * events

    def _layout(self, items: int) -> Layout:
        factors = self.config.factors
        return {
            "item_factors": ((items, factors), np.float32),
            "regularization": ((), np.float32),
            "user_moment": ((factors, factors), np.float32),
        }

    def _prepare(self, arrays: Arrays) -> None:
        # As they are stored, which may be mapped: what equations need of them is converted when they are made.
        self._factors: NDArray[np.float32] = arrays["item_factors"]
        # Items without likes are offered for their features, but nothing is learnt from who has met them.
        self._is_known = arrays["popularity"] > 0
        # What everybody's equations begin with: every item with confidence 1 and preference 0, and the regularization.
        gram = arrays["regularization"] * np.eye(self.config.factors)
        for start in range(0, len(self._factors), _GRAM_ROWS):
            rows = slice(start, start + _GRAM_ROWS)
            part = self._factors[rows][self._is_known[rows]].astype(np.float64)
            gram += part.T @ part
        try:
            self._fold_in = FoldIn(self._factors, gram)
        except np.linalg.LinAlgError as error:
            raise DamagedModel("item_factors and regularization are such that users have no unique factors") from error
        self._index = InnerProductIndex(self._factors)

    def _answer(self, histories: Histories) -> Answer:
        return FactorAnswer(super()._answer(histories), self._index, factored=self._equations(histories.matrix), popular=self._cold_index)

    def _score(self, histories: Histories) -> NDArray[np.float32]:
        users = self._equations(histories.matrix).users(np.arange(len(histories)))
        scores: NDArray[np.float32] = users @ self._factors.T
        return scores

    def _contributions(self, history: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        parts: NDArray[np.floating] = self._parts(history, ranked[None, :])[0]
        return parts

    def _parts(self, histories: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        # Section 5 of the paper: x = A⁻¹ Σ c·y, so the score of an item is a sum with one term for each item of the history.
        return self._equations(histories.matrix).parts(np.arange(len(histories)), ranked)

    def _equations(self, matrix: csr_matrix) -> Equations:
        """The equations of the users of some histories."""
        return self._fold_in.asked(matrix, self._weighed(matrix))

    def _weighed(self, matrix: csr_matrix) -> Weighed:
        """Of each entry of histories the pull on the user, and the confidence beside the 1 that every item has."""
        signed = _signed_confidence(matrix.data.astype(np.float64), self.config.alpha)
        is_known = self._is_known[matrix.indices]
        return Weighed(np.where(is_known, np.maximum(signed, 0), 0), np.where(is_known, np.abs(signed) - 1, 0))


def _with_cold(factors: NDArray[np.float32], interactions: Interactions, likes: NDArray[Any]) -> NDArray[np.float32]:
    """The factors with those of items that have no likes [items] regressed on their features."""
    features, is_known = interactions.item_features, likes > 0
    return factors if features is None or not is_known.any() else content_rows(factors, features, is_known)


class _Equations(NamedTuple):
    """The equations D·y = D·y₀ of some items, with a diagonal D, before pairs with users are added to them."""

    solved: NDArray[np.float64]  # y₀ [items × factors]
    diagonal: NDArray[np.float64]  # D [items × factors]

    def with_pairs(
        self, items: NDArray[np.integer], users: NDArray[np.float64], more: NDArray[np.float64], likes: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """y [items × factors] after a pair of each of `items` with the user x in the same row of `users` added `more`·xᵀx on the left and
        `likes`·x on the right: y = y₀ + D⁻¹Xᵀ (1 + diag(more)·X·D⁻¹Xᵀ)⁻¹ (likes − more·X·y₀), by Woodbury's identity.

        Items with equally many pairs are solved at once: most have one or two.
        """
        found, order = self.solved.copy(), np.argsort(items, kind="stable")
        counts = np.bincount(items, minlength=len(found))
        starts = np.cumsum(counts) - counts
        for count in np.unique(counts[counts > 0]).tolist():
            some = np.flatnonzero(counts == count)
            pairs = order[starts[some, None] + np.arange(count)]
            met, weight = users[pairs], more[pairs][:, :, None]
            spread = (met / self.diagonal[some, None, :]).transpose(0, 2, 1)
            missed = likes[pairs][:, :, None] - weight * (met @ found[some, :, None])
            found[some] += (spread @ np.linalg.solve(np.eye(count) + weight * (met @ spread), missed))[:, :, 0]
        return found


def _signed_confidence(weights: NDArray[np.floating], alpha: float) -> NDArray[np.floating]:
    """What implicit takes: the confidence, negative where the preference is 0; exactly 0 leaves the pair out of the loss."""
    signed: NDArray[np.floating] = np.sign(weights) * (1 + alpha * np.log2(1 + np.abs(weights)))
    return signed


def _confidence(matrix: csr_matrix, alpha: float) -> csr_matrix:
    return csr_matrix((_signed_confidence(matrix.data, alpha).astype(np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)


def _noise_norm(signed: csr_matrix) -> float:
    """The spectral norm of a random matrix of the shape and energy of the data: √(Σc²/users) + √(Σc²/items) (Bai and Yin 1993).

    Least squares with regularization λ shrinks the singular values of the data by λ, so this is the λ that would silence pure noise:
    the unit in which one preset fits data of any size. Users and items without a pair do not count.
    """
    energy = float(np.square(signed.data, dtype=np.float64).sum())
    users, items = np.count_nonzero(np.diff(signed.indptr)), len(np.unique(signed.indices))
    return math.sqrt(energy / users) + math.sqrt(energy / items)
