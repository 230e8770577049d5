"""How sure a mean over users is: bootstrap intervals, and the paired ones that compare two models on the same questions."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_worker.evaluation.metrics import Values

RESAMPLES: Final = 1000
CONFIDENCE: Final = 0.95

# With more users the bootstrap of a mean is the normal distribution to three digits, and takes minutes to draw.
LARGEST_RESAMPLED: Final = 20_000
_NORMAL_QUANTILE: Final = 1.959964
_FEWEST_USERS: Final = 2
_TILE_NUMBERS: Final = 1 << 22


class Interval(NamedTuple):
    """A mean over users and where it lies with 95 % confidence; the bounds are NaN with fewer than two users."""

    mean: float
    low: float
    high: float

    @property
    def is_below_zero(self) -> bool:
        """Whether all of it is negative; of a difference: surely worse."""
        return self.high < 0

    @property
    def is_above_zero(self) -> bool:
        """Whether all of it is positive; of a difference: surely better."""
        return self.low > 0

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


def intervals(
    values: Values, *, users: NDArray[np.integer] | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """The interval of every metric: the percentile bootstrap over users (Efron 1979), the same draws of users for all.

    `users` [questions] says whose question each is where a user has several: users are drawn with all their questions.
    NaN is left out. Above `LARGEST_RESAMPLED` users the normal interval takes its place.
    """
    if not values:
        return {}
    columns = np.column_stack(list(values.values()))
    is_there = ~np.isnan(columns)
    sums, counts = _by_user(np.where(is_there, columns, 0.0), users), _by_user(is_there.astype(np.float64), users)
    bounds = _drawn(sums, counts, resamples, seed) if len(sums) <= LARGEST_RESAMPLED else _normal(sums, counts)
    with np.errstate(invalid="ignore"):
        means = sums.sum(axis=0) / counts.sum(axis=0)
    has_bounds = (counts > 0).sum(axis=0) >= _FEWEST_USERS
    low, high = np.where(has_bounds, bounds, np.nan)
    return {name: Interval(*map(float, found)) for name, *found in zip(values, means, low, high, strict=True)}


def differences(
    ours: Values, theirs: Values, *, users: NDArray[np.integer] | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """The interval of ours − theirs for every metric both have, question by question: much narrower than the two intervals apart."""
    both = {name: column - theirs[name] for name, column in ours.items() if name in theirs}
    return intervals(both, users=users, resamples=resamples, seed=seed)


def _by_user(columns: NDArray[np.float64], users: NDArray[np.integer] | None) -> NDArray[np.float64]:
    """The sums of each user's questions [users × metrics]."""
    if users is None:
        return columns
    _, place = np.unique(users, return_inverse=True)
    return np.column_stack([np.bincount(place, weights=column) for column in columns.T])


def _drawn(sums: NDArray[np.float64], counts: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """The bounds [2 × metrics] that hold the middle of the resampled means."""
    if not len(sums):
        return np.full((2, sums.shape[1]), np.nan)
    drawn = [(times @ sums, times @ counts) for times in _draws(len(sums), resamples, seed)]
    above, below = (np.concatenate(part) for part in zip(*drawn, strict=True))
    # Where a metric has few numbers a draw may hold none of them: it says what the mean says.
    means = np.where(below > 0, above, sums.sum(axis=0)) / np.where(below > 0, below, np.maximum(counts.sum(axis=0), 1))
    tail = (1 - CONFIDENCE) / 2
    return np.quantile(means, [tail, 1 - tail], axis=0)


def _draws(users: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each user is drawn [some resamples × users], a tile at a time."""
    random = np.random.default_rng(seed)
    step = max(1, _TILE_NUMBERS // users)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        picked = random.integers(users, size=(rows, users)) + np.arange(rows)[:, None] * users
        yield np.bincount(picked.ravel(), minlength=rows * users).reshape(rows, users).astype(np.float64)


def _normal(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    # The mean is a ratio of sums where users have several questions; its residuals say how far it varies (Cochran 1977, 6.4).
    total = np.maximum(counts.sum(axis=0), np.finfo(float).tiny)
    mean = sums.sum(axis=0) / total
    spread = np.sqrt(((sums - mean * counts) ** 2).sum(axis=0)) / total
    return np.stack([mean - _NORMAL_QUANTILE * spread, mean + _NORMAL_QUANTILE * spread])
