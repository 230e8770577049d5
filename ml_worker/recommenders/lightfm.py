"""LightFM: factors learnt by ranking losses, with features of items and users (Kula 2015); trained by `lightfm`, served by numpy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import coo_matrix, csr_matrix, hstack, identity

from ml_worker.recommenders import linear
from ml_worker.recommenders.answers import Answer
from ml_worker.recommenders.base import Arrays, Layout, Progress, Recommender, TrainingDiverged
from ml_worker.recommenders.batches import entries_of
from ml_worker.recommenders.factor_answers import FactorAnswer
from ml_worker.recommenders.inner_product import InnerProductIndex
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.neighbours import unit_rows
from ml_worker.recommenders.updating import Earlier

RIDGE = 1e-2
"""Of the map from histories to users, in units of the mean square of a coordinate."""
_LEAST: Final = np.float32(1e-6)
"""What lengths of histories that say nothing are taken for."""


class LightFm(Recommender):
    """Scores p·q_j + b_j, where the vector and bias of an item are the sums of its own and those of its features, and so for users.

    Learnt by stochastic gradients (adagrad) on the loss: `warp` looks for items that wrongly rank before a liked one (Weston et al. 2011),
    `bpr` takes any other item (Rendle et al. 2009), both leave dislikes out; `logistic` predicts likes against dislikes.
    (Kula, "Metadata Embeddings for User and Item Cold-start Recommendations", 2015.) Features stand beside the identity of each item and
    user, in rows of length 1.

    Users are not stored. Their vectors are regressed on their histories over the training users, p ≈ [x·Q/|x|, 1]·M with the ridge solution
    M [factors + 1 × factors] and x as in EASE, so that live histories and new users are served. (On the ratings of the contract test this
    ranks as well as the vectors that were learnt.) Features of users therefore act in training only.
    """

    name: ClassVar[str] = "lightfm"
    quality_floor: ClassVar[float] = 0.26
    libraries: ClassVar[tuple[str, ...]] = ("lightfm-next", "numpy", "scipy")
    can_update: ClassVar[bool] = True

    class Config(Recommender.Config):
        """The preset."""

        loss: Literal["warp", "bpr", "logistic"] = Field(default="warp", description="What is minimized.")
        factors: int = Field(default=64, ge=1, le=1024, description="Length of the vectors.")
        epochs: int = Field(default=30, ge=1, le=1000, description="Passes over the likes.")
        partial_epochs: int = Field(default=5, ge=1, le=100, description="Passes of a partial training over those with new events.")
        learning_rate: float = Field(default=0.03, gt=0, le=10, description="Of adagrad.")
        penalty: float = Field(default=3e-5, ge=0, le=1, description="By how much every step draws the vectors to 0.")
        dislike: float = Field(default=0.2, ge=0, le=1, description="How much a dislike counts against a like in a live history.")
        seed: int = Field(default=0, ge=0, lt=2**32, description="Of the first vectors and the order of the likes.")

    config: Config

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        item_features = _beside_identity(len(interactions.item_ids), interactions.item_features)
        user_features = _beside_identity(len(interactions.user_ids), interactions.user_features)
        trainer, matrix = self._trainer(), interactions.matrix()
        report = _report(progress, self.config.epochs)
        self._train(trainer, matrix, self.config.epochs, report, item_features=item_features, user_features=user_features)
        vectors = item_features @ np.c_[trainer.item_embeddings, trainer.item_biases]
        squares = item_features @ np.c_[trainer.item_embedding_gradients, trainer.item_bias_gradients]
        users = user_features @ trainer.user_embeddings
        arrays = {"vectors": vectors.astype(np.float32), "squares": squares.astype(np.float32)}
        return {**arrays, "map": _regress(_profiles(linear.told(matrix, self.config.dislike), arrays["vectors"]), users, matrix)}

    def _update(self, earlier: Earlier, progress: Progress) -> Arrays:
        """The users with new events are trained again, from their regressed vectors, with their whole histories; the map stays."""
        vectors, squares = earlier.moved("vectors"), earlier.moved("squares")
        if not len(earlier.users):
            progress(1.0, "nothing is new")
            return {"vectors": vectors, "squares": squares, "map": earlier.arrays["map"]}
        matrix = earlier.histories()[0].matrix
        trainer = self._trainer()
        trainer._initialize(self.config.factors, len(vectors), matrix.shape[0])
        trainer.item_embeddings, trainer.item_biases = (part.copy() for part in (vectors[:, :-1], vectors[:, -1]))
        trainer.item_embedding_gradients = np.maximum(squares[:, :-1], 1).copy()
        trainer.item_bias_gradients = np.maximum(squares[:, -1], 1).copy()
        trainer.user_embeddings = (_profiles(linear.told(matrix, self.config.dislike), vectors) @ earlier.arrays["map"]).astype(np.float32)
        self._train(trainer, matrix, self.config.partial_epochs, _report(progress, self.config.partial_epochs))
        # Only items that somebody new met change: to the others the few users of this training are no evidence.
        is_touched = np.zeros(len(vectors), dtype=np.bool_)
        is_touched[earlier.items] = True
        vectors[is_touched] = np.c_[trainer.item_embeddings, trainer.item_biases][is_touched]
        squares[is_touched] = np.c_[trainer.item_embedding_gradients, trainer.item_bias_gradients][is_touched]
        return {"vectors": vectors, "squares": squares, "map": earlier.arrays["map"]}

    def _trainer(self) -> Any:
        from lightfm import LightFM  # late: it brings scikit-learn along, which serving does not need

        settings = {"learning_rate": self.config.learning_rate, "item_alpha": self.config.penalty, "user_alpha": self.config.penalty}
        return LightFM(no_components=self.config.factors, loss=self.config.loss, random_state=self.config.seed, **settings)

    def _train(self, trainer: Any, matrix: csr_matrix, epochs: int, report: Callable[[int], None], **features: csr_matrix) -> None:
        said = np.sign(matrix.data) if self.config.loss == "logistic" else (matrix.data > 0).astype(np.float32)
        likes = csr_matrix((said, matrix.indices, matrix.indptr), shape=matrix.shape).tocoo()
        told = coo_matrix((likes.data[likes.data != 0], (likes.row[likes.data != 0], likes.col[likes.data != 0])), shape=matrix.shape)
        for epoch in range(epochs):
            try:
                # One thread: with more the same seed would not give the same model.
                trainer.fit_partial(told.astype(np.float32), epochs=1, num_threads=1, **features)
            except ValueError as error:
                raise TrainingDiverged(f"lightfm: {error}; after training with {self.config!r}") from error
            report(epoch)

    @classmethod
    def _predicted_bytes(cls, config: Any, users: int, items: int, events: int) -> int:
        # A vector, the sum of its squared gradients and its momentum; then the vectors once more.
        size: int = 4 * (config.factors + 1) * (4 * users + 5 * items)
        return size + 40 * events

    def _layout(self, items: int) -> Layout:
        factors = self.config.factors
        vectors = ((items, factors + 1), np.float32)
        return {"vectors": vectors, "squares": vectors, "map": ((factors + 1, factors), np.float32)}

    def _prepare(self, arrays: Arrays) -> None:
        self._vectors, self._map = arrays["vectors"], arrays["map"]
        self._index = InnerProductIndex(self._vectors)

    def _answer(self, histories: Histories) -> Answer:
        return FactorAnswer(super()._answer(histories), self._index, factored=self._factored(histories), popular=self._cold_index)

    def _score(self, histories: Histories) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self._factored(histories).users(np.arange(len(histories))) @ self._vectors.T
        return scores

    def _contributions(self, history: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        contributions: NDArray[np.floating] = self._parts(history, ranked[None, :])[0]
        return contributions

    def _parts(self, histories: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        return self._factored(histories).parts(np.arange(len(histories)), ranked)

    def _factored(self, histories: Histories) -> "_Regressed":
        return _Regressed(linear.told(histories.matrix, self.config.dislike), self._vectors, self._map)


@dataclass(frozen=True, slots=True, eq=False)
class _Regressed:
    """Users whose vectors are regressed on what their histories say; behind their factors stands a 1, for the biases."""

    said: csr_matrix
    vectors: NDArray[np.float32]  # [items × factors + 1]
    map: NDArray[np.float32]

    def users(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        users = np.ones((len(rows), self.vectors.shape[1]), dtype=np.float32)
        np.matmul(_profiles(self.said[rows], self.vectors), self.map, out=users[:, :-1])
        return users

    def parts(self, rows: NDArray[np.intp], ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        entry, has = entries_of(self.said, rows)
        said = self.said.data.take(entry) * has
        said /= np.maximum(np.sqrt(np.square(said).sum(axis=1)), _LEAST)[:, None]
        met = self.vectors.take(self.said.indices.take(entry), axis=0)[:, :, :-1]
        parts: NDArray[np.floating] = (self.vectors.take(ranked, axis=0)[:, :, :-1] @ self.map[:-1].T) @ met.transpose(0, 2, 1)
        parts *= said[:, None, :]
        return parts


def _report(progress: Progress, epochs: int) -> Callable[[int], None]:
    return lambda epoch: progress((epoch + 1) / epochs, f"epoch {epoch + 1} of {epochs}")


def _beside_identity(rows: int, features: csr_matrix | None) -> csr_matrix:
    own = identity(rows, dtype=np.float32, format="csr")
    return own if features is None else hstack([own, unit_rows(features)], format="csr", dtype=np.float32)


def _profiles(said: csr_matrix, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """x·Q/|x| and a 1 for each user x of what is said [users × factors + 1]."""
    lengths = np.sqrt(np.asarray(said.multiply(said).sum(axis=1), dtype=np.float32).ravel())
    profiles: NDArray[np.float32] = (said @ vectors) / np.maximum(lengths, _LEAST)[:, None]
    profiles[:, -1] = 1
    return profiles


def _regress(profiles: NDArray[np.float32], users: NDArray[np.float32], matrix: csr_matrix) -> NDArray[np.float32]:
    """The ridge solution M [factors + 1 × factors] over the users with a like."""
    likes = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[matrix.data > 0]
    has_like = np.bincount(likes, minlength=matrix.shape[0]) > 0
    inputs, outputs = profiles[has_like].astype(np.float64), users[has_like].astype(np.float64)
    system = inputs.T @ inputs
    system[np.diag_indices(len(system))] += RIDGE * max(float(np.trace(system)) / len(system), 1e-12)
    solution: NDArray[np.float32] = np.linalg.solve(system, inputs.T @ outputs).astype(np.float32)
    return solution
