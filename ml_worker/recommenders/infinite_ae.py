"""The infinitely wide autoencoder: kernel ridge regression from histories to what their users like (Sachdeva et al. 2022)."""

import math
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.sparse import csr_matrix

from ml_worker.recommenders import linear
from ml_worker.recommenders.base import Arrays, Layout, Progress, Recommender, TrainingDiverged
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.neighbours import unit_rows
from ml_worker.recommenders.state import DamagedModel

# Landmarks with the same history would have no unique weights.
_JITTER: Final = np.float32(1e-3)


class InfiniteAe(Recommender):
    """Scores s = k(x)·M, where k(x) [landmarks] says how near the history x is to those of some users, the landmarks.

    x is 1 where a user likes an item, −`dislike` where they dislike it, 0 elsewhere. Near is what the neural tangent kernel of a network
    with one infinitely wide layer of rectified units calls near, of c = cos(x, z):
    κ(c) = (2c·(π − arccos c) + √(1 − c²)) / 2π, from 0 for opposites to 1 for equals.
    With X [users × items], K [users × users] and λ = `ridge`·√users, M = (K + λ)⁻¹X: such a network, trained to repeat histories
    until it cannot do better under that penalty. It is not linear in x and compares whole users, so it errs where models of pairs of items
    do not. The list of who was trained on is that of one left out: their own row only adds to what they have.
    (Sachdeva, Dhaliwal, Wu, McAuley, "Infinite Recommendation Networks", 2022; Jacot, Gabriel, Hongler, "Neural Tangent Kernel", 2018.)

    Beyond `landmarks` users so many drawn ones stand for all (subset of regressors, Rasmussen and Williams 2006, section 8.3.1): with Z
    the drawn, L the root of K_zz and Φ = L⁻¹K_zx, M = L⁻ᵀ(ΦΦᵀ + λ)⁻¹ΦX over at most `most_users` drawn users. Only the `dense_items`
    most liked items take part, the others are ordered by popularity behind them.
    """

    name: ClassVar[str] = "infinite_ae"
    quality_floor: ClassVar[float] = 0.34  # measured: 0.350

    class Config(Recommender.Config):
        """The preset."""

        ridge: float = Field(default=0.12, gt=0, le=1e3, description="λ by the root of the users: how strongly answers are drawn to 0.")
        landmarks: int = Field(default=3000, ge=1, le=50_000, description="With how many users a history is compared.")
        most_users: int = Field(default=20_000, ge=1, le=10_000_000, description="From how many users is learnt at most.")
        dislike: float = Field(default=0.2, ge=0, le=1, description="How much a dislike counts against a like.")
        dense_items: int = Field(default=10_000, ge=1, le=50_000, description="Most items that take part; memory grows with them.")
        seed: int = Field(default=0, ge=0, lt=2**32, description="Of which users are drawn.")

    config: Config

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        told = linear.told(interactions.matrix(), self.config.dislike)
        chosen = linear.most_liked(told, self.config.dense_items)
        rows, landmarks = self._drawn(told[:, chosen].tocsr())
        near = unit_rows(rows).astype(np.float32)
        users = rows.shape[0]
        penalty = np.float32(self.config.ridge * math.sqrt(users))
        try:
            with linear.one_thread():
                is_exact = len(landmarks) == users
                answers = _exact(near, rows, penalty) if is_exact else _by_landmarks(near, rows, landmarks, penalty, progress)
        except (linear.NotDefinite, LinAlgError) as error:
            raise TrainingDiverged(f"infinite_ae: {error}; after training with {self.config!r}") from error
        progress(1.0, f"equations of {len(landmarks)} users solved")
        return {"columns": chosen.astype(np.int32), "answers": answers, **_packed(near[landmarks], chosen, len(interactions.item_ids))}

    def _drawn(self, told: csr_matrix) -> tuple[csr_matrix, NDArray[np.int64]]:
        """The rows of the users who are learnt from, and which of these are landmarks; both are users who like something."""
        random = np.random.default_rng(self.config.seed)
        likes = np.repeat(np.arange(told.shape[0]), np.diff(told.indptr))[told.data > 0]
        users = np.unique(likes)
        if len(users) > self.config.most_users:
            users = np.sort(random.choice(users, self.config.most_users, replace=False))
        landmarks = np.arange(len(users))
        if len(users) > self.config.landmarks:
            landmarks = np.sort(random.choice(landmarks, self.config.landmarks, replace=False))
        return told[users].tocsr(), landmarks.astype(np.int64)

    @classmethod
    def _predicted_bytes(cls, config: Any, users: int, items: int, events: int) -> int:
        landmarks: int = min(config.landmarks, config.most_users, users)
        # The equations and a copy of their root, both of their sides, and a block of users.
        columns: int = min(items, config.dense_items)
        return 4 * landmarks * (3 * landmarks + 2 * columns + 3 * linear.BLOCK_ROWS)

    def _layout(self, items: int) -> Layout:
        return {
            "columns": ((None,), np.int32),
            "answers": ((None, None), np.float32),
            "profile_offsets": ((items + 1,), np.int64),
            "profile_landmarks": ((None,), np.int32),
            "profile_weights": ((None,), np.float32),
        }

    def _prepare(self, arrays: Arrays) -> None:
        self._columns, self._answers = arrays["columns"], arrays["answers"]
        self._profiles = _unpacked(arrays)
        items = self._profiles.shape[0]
        if self._answers.shape[1] != len(self._columns):
            raise DamagedModel(f"answers are for {self._answers.shape[1]} items, columns name {len(self._columns)}")
        if len(self._columns) and not 0 <= self._columns.min() <= self._columns.max() < items:
            raise DamagedModel(f"columns name items outside the model's {items}")
        self._place = np.full(items, -1, dtype=np.int64)
        self._place[self._columns] = np.arange(len(self._columns))
        self._behind = linear.behind(arrays["popularity"])

    def _score(self, histories: Histories) -> NDArray[np.float32]:
        answers = _nearness((self._inputs(histories) @ self._profiles).toarray()) @ self._answers
        scores = np.empty(histories.matrix.shape, dtype=np.float32)
        scores[:] = self._behind
        # Lifted above the others, not these pushed below: next to larger numbers float32 would not tell them apart.
        scores[:, self._columns] += answers - answers.min(axis=1, keepdims=True, initial=0)
        return scores

    def _contributions(self, history: Histories, ranked: NDArray[np.int32]) -> NDArray[np.floating]:
        """(κ(c) − κ(0))/c is what each part of c counts for: the parts add up to the score but for what strangers have."""
        said = self._inputs(history)
        cosines = (said @ self._profiles).toarray()[0]
        is_none = np.abs(cosines) < 1e-6  # noqa: PLR2004
        slopes = np.where(is_none, 0.5, (_nearness(cosines) - _NEAR_NOBODY) / np.where(is_none, 1, cosines))
        place = self._place[ranked]
        weighed = self._answers[:, np.maximum(place, 0)] * slopes[:, None].astype(np.float32)
        contributions: NDArray[np.floating] = ((self._profiles[history.matrix.indices] @ weighed) * said.data[:, None]).T
        return np.where(place[:, None] >= 0, contributions, 0)

    def _inputs(self, histories: Histories) -> csr_matrix:
        """x of the items that take part, in rows of length 1; every entry stays stored."""
        told = linear.times_columns(linear.told(histories.matrix, self.config.dislike), (self._place >= 0).astype(np.float32))
        lengths = np.sqrt(np.asarray(told.multiply(told).sum(axis=1)).ravel())
        shares = told.data / np.repeat(np.maximum(lengths, 1e-12), np.diff(told.indptr)).astype(np.float32)
        return csr_matrix((shares, told.indices, told.indptr), shape=told.shape)


_NEAR_NOBODY: Final = 1 / (2 * np.pi)


def _nearness(cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """κ of cosines."""
    bounded = np.clip(cosines, -1, 1)
    angles = np.float32(np.pi) - np.arccos(bounded)
    near: NDArray[np.float32] = (2 * bounded * angles + np.sqrt(1 - bounded * bounded)) / np.float32(2 * np.pi)
    return near


def _exact(near: csr_matrix, rows: csr_matrix, penalty: np.float32) -> NDArray[np.float32]:
    """(K + λ)⁻¹X [users × items]."""
    system = _nearness((near @ near.T).toarray())
    system[np.diag_indices(len(system))] += penalty
    return linear.solve(system, rows.toarray())


def _by_landmarks(
    near: csr_matrix, rows: csr_matrix, landmarks: NDArray[np.int64], penalty: np.float32, progress: Progress
) -> NDArray[np.float32]:
    """L⁻ᵀ(ΦΦᵀ + λ)⁻¹ΦX [landmarks × items], added up over blocks of users."""
    count, size = rows.shape[0], len(landmarks)
    marks = near[landmarks]
    between = _nearness((marks @ marks.T).toarray())
    between[np.diag_indices(size)] += _JITTER
    root = cholesky(between, lower=True, overwrite_a=True, check_finite=False)
    system, sides = np.zeros((size, size), dtype=np.float32), np.zeros((size, rows.shape[1]), dtype=np.float32)
    for start in range(0, count, linear.BLOCK_ROWS):
        block = slice(start, start + linear.BLOCK_ROWS)
        found = solve_triangular(root, _nearness((marks @ near[block].T).toarray()), lower=True, overwrite_b=True, check_finite=False)
        system += found @ found.T
        sides += (rows[block].T @ found.T).T
        progress(0.8 * min(1.0, (start + linear.BLOCK_ROWS) / count), "users compared")
    system[np.diag_indices(size)] += penalty
    weights = linear.solve(system, sides)
    return np.ascontiguousarray(solve_triangular(root, weights, lower=True, trans="T", overwrite_b=True, check_finite=False))


def _packed(landmarks: csr_matrix, chosen: NDArray[np.integer], items: int) -> dict[str, NDArray[Any]]:
    """The landmarks [landmarks × chosen] by item, as arrays of a state."""
    by_item = landmarks.T.tocsr()
    lengths = np.zeros(items, dtype=np.int64)
    lengths[chosen] = np.diff(by_item.indptr)
    return {
        "profile_offsets": np.r_[0, np.cumsum(lengths)].astype(np.int64),
        "profile_landmarks": by_item.indices.astype(np.int32),
        "profile_weights": by_item.data.astype(np.float32),
    }


def _unpacked(arrays: Arrays) -> csr_matrix:
    """The landmarks by item [items × landmarks]. Raises `DamagedModel`."""
    offsets, landmarks, weights = (arrays[f"profile_{part}"] for part in ("offsets", "landmarks", "weights"))
    count = len(arrays["answers"])
    if offsets[0] != 0 or (np.diff(offsets) < 0).any() or not offsets[-1] == len(landmarks) == len(weights):
        raise DamagedModel(f"profile_offsets do not divide {len(landmarks)} landmarks and {len(weights)} weights into rows")
    if len(landmarks) and not 0 <= landmarks.min() <= landmarks.max() < count:
        raise DamagedModel(f"profile_landmarks names users outside the model's {count}")
    return csr_matrix((weights, landmarks, offsets), shape=(len(offsets) - 1, count))
