"""How sure a rate per impression is, and how two differ, from sums over users."""

import math
from dataclasses import dataclass
from typing import Final

Z: Final = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Rate:
    """An estimate with its 95 % interval; `low` and `high` are None where there are too few users to say."""

    value: float
    low: float | None
    high: float | None
    variance: float | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """Over users: their number, Σx, Σn, Σx², Σn², Σxn of successes x and impressions n."""

    users: int
    x: float
    n: float
    xx: float
    nn: float
    xn: float


def rate(sums: Sums) -> Rate:
    """Σx / Σn with an interval that takes users, not impressions, for independent: the delta method (Deng, Knoblich and Lu 2018)."""
    if sums.n == 0:
        return Rate(0.0, None, None)
    value, k = sums.x / sums.n, sums.users
    if k < 2:  # noqa: PLR2004 (a variance takes two)
        return Rate(value, None, None)
    mean_x, mean_n = sums.x / k, sums.n / k
    var_x, var_n = ((square / k - mean * mean) * k / (k - 1) for square, mean in ((sums.xx, mean_x), (sums.nn, mean_n)))
    covariance = (sums.xn / k - mean_x * mean_n) * k / (k - 1)
    variance = max(0.0, (var_x - 2 * value * covariance + value * value * var_n) / (mean_n * mean_n * k))
    reach = Z * math.sqrt(variance)
    return Rate(value, max(0.0, value - reach), min(1.0, value + reach), variance)


def difference(b: Rate, a: Rate) -> Rate:
    """b − a, of independent users."""
    value = b.value - a.value
    if a.variance is None or b.variance is None:
        return Rate(value, None, None)
    reach = Z * math.sqrt(a.variance + b.variance)
    return Rate(value, value - reach, value + reach, a.variance + b.variance)


def wilson(successes: int, trials: int) -> Rate:
    """A share of independent trials with its interval (Wilson 1927)."""
    if trials == 0:
        return Rate(0.0, None, None)
    share, z2 = successes / trials, Z * Z
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    reach = Z / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return Rate(share, centre - reach, centre + reach)
