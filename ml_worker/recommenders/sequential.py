"""The sequential linear model: what comes next from the decaying sum of what came last, solved in closed form."""

from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator
from scipy.sparse import csr_matrix

from ml_worker.recommenders import linear
from ml_worker.recommenders.base import Arrays, Layout, Progress, Recommender, TrainingDiverged
from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.item_weights import ItemWeights
from ml_worker.recommenders.updating import Earlier

WIDEST: Final = 1000
"""The widest window: every distance within it is a pass over all events."""


class Sequential(ItemWeights):
    """Scores s·B, where s is the user's state now and B [items × items] was fitted to predict each next item from the state before it.

    The state before step t is s_t = Σ_k w(k)·x_{t−1−k}, over the events before it, x being 1 for a like, −`dislike` for a dislike.
    w(k) is the mean over `windows` W of (1+k)^−`decay` where k < W. The target y_t is the event at t, and with `horizon` H also the H−1
    after it with weights 1/2, 1/3, …. With A = Σ u·sᵀs and C = Σ u·sᵀy over all steps of all users, u = (n/mean n)^−`user_weight`:
    B = (A + diag(λ + q/(1−q)·diag A))⁻¹ C. Like EASE (Steck 2019) it is a ridge regression with dropout q of inputs, but of what follows
    instead of what goes together (as SLIST, Choi et al. 2021). A and C depend on pairs of events only by their distance, so they are added
    up distance by distance. Only the `kept` largest weights of each row are kept, and beyond `dense_items` only the most popular items
    take part.
    """

    name: ClassVar[str] = "sequential"
    can_update: ClassVar[bool] = True
    quality_floor: ClassVar[float] = 0.06  # measured: 0.071; what each user liked last is to be found, popular has 0.016

    class Config(Recommender.Config):
        """The preset."""

        windows: tuple[int, ...] = Field(default=(60,), min_length=1, max_length=8, description="How many of the last events count.")
        decay: float = Field(default=0.8, ge=0, le=5, description="The exponent by which older events count less.")
        horizon: int = Field(default=2, ge=1, le=20, description="How many of the next events are predicted.")
        ridge: float = Field(default=300.0, gt=0, le=1e6, description="λ: how strongly weights are drawn to 0.")
        dropout: float = Field(default=0.3, ge=0, lt=1, description="q: the share of inputs dropped.")
        user_weight: float = Field(default=0.2, ge=0, le=2, description="How much users of long histories are weighed down.")
        dislike: float = Field(default=0.2, ge=0, le=1, description="How much a dislike counts against a like.")
        kept: int = Field(default=200, ge=1, le=100_000, description="Weights kept in each row.")
        dense_items: int = Field(default=10_000, ge=1, le=50_000, description="Most items solved for; memory grows with the square.")

        @field_validator("windows")
        @classmethod
        def _check_windows(cls, windows: tuple[int, ...]) -> tuple[int, ...]:
            if any(not 1 <= window <= WIDEST for window in windows):
                raise ValueError(f"windows reach from 1 to {WIDEST} events")
            return windows

    config: Config

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        chosen = linear.most_liked(linear.told(interactions.matrix(), self.config.dislike), self.config.dense_items)
        steps = _steps(interactions.histories(), chosen, self.config)
        states, follows = _sums(steps, len(chosen), self.config, progress)
        strength = self.config.dropout / (1 - self.config.dropout)
        states[np.diag_indices(len(chosen))] += self.config.ridge + strength * states.diagonal()
        diagonal = np.zeros(len(interactions.item_ids), dtype=np.float32)
        diagonal[chosen] = states.diagonal()
        try:
            with linear.one_thread():
                effects = linear.solve(states, follows)
        except linear.NotDefinite as error:
            raise TrainingDiverged(f"sequential: {error}; after training with {self.config!r}") from error
        progress(0.9, "equations solved")
        whole = linear.spread(linear.keep_largest(effects, self.config.kept), chosen, len(interactions.item_ids))
        progress(1.0, f"{whole.nnz} weights kept")
        return {**linear.packed("effects", whole), "diagonal": diagonal}

    def _update(self, earlier: Earlier, progress: Progress) -> Arrays:
        """Recursive least squares over the new steps: B' = B + D⁻¹Sᵀ(U⁻¹ + SD⁻¹Sᵀ)⁻¹(Y − SB), with the diagonal D for A.

        S are the states before the new steps, Y their next items, U the users' weights; only columns of items with new events change.
        """
        effects, diagonal = linear.moved("effects", earlier), earlier.moved("diagonal")
        histories, fresh = earlier.histories()
        steps = _steps(histories, np.arange(len(diagonal)), self.config, earlier.since / max(earlier.user_count(), 1))
        fresh_steps = np.flatnonzero(steps.left < fresh[steps.rows])
        states = _states_before(steps, fresh_steps, decay(self.config), len(diagonal))
        squares = states.multiply(states).multiply(steps.weights[fresh_steps, None]).sum(axis=0)
        diagonal = np.where(diagonal > 0, diagonal, np.float32(self.config.ridge))
        diagonal += np.asarray(squares, dtype=np.float32).ravel() / (1 - self.config.dropout)
        items = np.unique(steps.items[fresh_steps])
        missed = -(states @ effects[:, items]).toarray()
        missed[np.arange(len(fresh_steps)), np.searchsorted(items, steps.items[fresh_steps])] += steps.said[fresh_steps]
        progress(0.5, f"{len(fresh_steps)} new steps compared")
        spreads = linear.times_columns(states, (1 / diagonal).astype(np.float32))
        together = (spreads @ states.T).toarray()
        together[np.diag_indices(len(together))] += 1 / steps.weights[fresh_steps]
        with linear.one_thread():
            gained = linear.solve(together, missed)
        columns = effects[:, items].toarray() + spreads.T @ gained
        whole = linear.replaced(effects, items, np.ascontiguousarray(columns.T), kept=self.config.kept)
        progress(1.0, f"{len(items)} items solved again")
        return {**linear.packed("effects", whole), "diagonal": diagonal}

    @classmethod
    def _predicted_bytes(cls, config: Any, users: int, items: int, events: int) -> int:
        dense: int = min(items, config.dense_items)
        kept: int = min(config.kept, dense)
        return 96 * events + 8 * dense**2 + 24 * dense * kept

    def _layout(self, items: int) -> Layout:
        return {**super()._layout(items), "diagonal": ((items,), np.float32)}

    def _inputs(self, histories: Histories) -> csr_matrix:
        """The state of each user now."""
        known = np.diff(self._effects.weights.indptr) > 0
        steps = _steps(histories, np.flatnonzero(known), self.config)
        weights = decay(self.config)
        is_recent = steps.left < len(weights)
        said = steps.said[is_recent] * weights[steps.left[is_recent]]
        places = (steps.rows[is_recent], np.flatnonzero(known)[steps.items[is_recent]])
        return csr_matrix((said, places), shape=histories.matrix.shape)


class _Steps(NamedTuple):
    """Events of users in order, one user after the other [steps]."""

    rows: NDArray[np.int64]
    items: NDArray[np.int64]  # index into the items that take part
    said: NDArray[np.float32]  # 1 for a like, −dislike for a dislike, 0 without a verdict
    left: NDArray[np.int64]  # steps of the same user after this one
    weights: NDArray[np.float32]  # of the user


def decay(config: "Sequential.Config") -> NDArray[np.float32]:
    """w(k) for k = 0 to the widest window [widest]."""
    age = np.arange(max(config.windows))
    shares = np.mean([age < window for window in config.windows], axis=0)
    weights: NDArray[np.float32] = ((1.0 + age) ** -config.decay * shares).astype(np.float32)
    return weights


def _steps(histories: Histories, chosen: NDArray[np.integer], config: "Sequential.Config", mean: float | None = None) -> _Steps:
    """The events of the items that take part; what a user does with one item without another between counts as one event.

    `mean` is the mean length of all histories, if these are not all.
    """
    place = np.full(histories.matrix.shape[1], -1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    rows, items = np.repeat(np.arange(len(histories)), np.diff(histories.offsets)), place[histories.items]
    takes_part = items >= 0
    rows, items, weights = rows[takes_part], items[takes_part], histories.weights[takes_part]
    starts = np.flatnonzero(np.r_[True, (np.diff(rows) != 0) | (np.diff(items) != 0)][: len(rows)])
    with np.errstate(over="ignore"):
        verdicts = np.add.reduceat(weights, starts) if len(starts) else weights
    rows, items = rows[starts], items[starts]
    said = np.where(verdicts > 0, 1, np.where(verdicts < 0, -config.dislike, 0)).astype(np.float32)
    lengths = np.bincount(rows, minlength=len(histories))
    left = np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(len(rows))
    mean = mean or (lengths[lengths > 0].mean() if len(rows) else 1.0)
    return _Steps(rows, items, said, left, np.repeat((np.maximum(lengths, 1) / mean) ** -config.user_weight, lengths).astype(np.float32))


def _sums(steps: _Steps, size: int, config: "Sequential.Config", progress: Progress) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A and C [items × items]: for every distance d, each pair of events so far apart is added with what the distance makes it weigh."""
    weights = decay(config).astype(np.float64)
    widest = len(weights)
    ahead = 1 / np.arange(1.0, config.horizon + 1)
    following = np.convolve(weights, ahead)  # [d − 1]: Σ_h ahead(h)·w(d − 1 − h)
    states, follows = np.zeros(size * size, dtype=np.float32), np.zeros(size * size, dtype=np.float32)
    weighted = steps.said * steps.weights
    for distance in range(min(len(following), int(steps.left.max(initial=0))) + 1):
        first = np.flatnonzero(steps.left >= distance)
        second = first + distance
        pairs = steps.items[first] * size + steps.items[second]
        said = weighted[first] * steps.said[second]
        if distance:
            np.add.at(follows, pairs, said * np.float32(following[distance - 1]))
        if distance < widest:
            # Both events are in the states before all steps after the second, as long as the first is in the window.
            together = np.r_[0, np.cumsum(weights[: widest - distance] * weights[distance:])].astype(np.float32)
            np.add.at(states, pairs, said * together[np.minimum(steps.left[second], widest - distance)])
        if distance == 0:
            states *= 0.5  # so that the matrix and its mirror add up to the diagonal once
        progress(0.8 * (distance + 1) / (len(following) + 1), f"pairs {distance} apart")
    one_sided = states.reshape(size, size)
    return linear.both_sided(one_sided), follows.reshape(size, size)


def _states_before(steps: _Steps, chosen: NDArray[np.integer], weights: NDArray[np.float32], size: int) -> csr_matrix:
    """The states before some of the steps [steps chosen × items]."""
    place = np.arange(len(steps.rows)) - np.searchsorted(steps.rows, steps.rows)
    ages = np.arange(min(len(weights), int(place[chosen].max(initial=0))))
    has = ages[None, :] < place[chosen][:, None]
    which, age = np.nonzero(has)
    earlier = np.asarray(chosen)[which] - 1 - age
    return csr_matrix((steps.said[earlier] * weights[age], (which, steps.items[earlier])), shape=(len(chosen), size))
