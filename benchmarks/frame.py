"""What a benchmark case is, and how two things are compared so that the machine's noise falls on both."""

import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

QUICK_ROUNDS = 3
FULL_ROUNDS = 9

Measure = Callable[[], float]
"""Does the thing once and returns its figure in the case's unit."""


MakeMeasures = Callable[[bool], AbstractContextManager[tuple[Measure, Measure]]]
"""Prepares two measures, quicker or thoroughly; what it starts lives as long as its context."""


@dataclass(frozen=True, slots=True)
class Case:
    """Two measures of one unit, `a` and `b`, compared as a ÷ b.

    `prepare(quick)` is a context that yields them: what it starts lives for all rounds and is not measured.
    """

    name: str
    unit: str
    what: str
    prepare: MakeMeasures


@dataclass(frozen=True, slots=True)
class Result:
    """The median ratio a ÷ b with the quartiles of the pairs, and the median figures; `what` says what a and b are."""

    ratio: float
    low: float
    high: float
    a: float
    b: float
    unit: str
    what: str

    def document(self) -> dict[str, float | str]:
        """As it is written to the results file."""
        return asdict(self)


def compare(case: Case, *, quick: bool, progress: Callable[[int, int], None]) -> Result:
    """Measure a and b in turn, a first in even rounds and b first in odd ones, after one round that does not count."""
    rounds = QUICK_ROUNDS if quick else FULL_ROUNDS
    pairs: list[tuple[float, float]] = []
    with case.prepare(quick) as (measure_a, measure_b):
        for number in range(-1, rounds):
            pair = _measure_pair(measure_a, measure_b, a_first=number % 2 == 0)
            if number >= 0:
                pairs.append(pair)
            progress(number + 1, rounds)
    ratios = [a / b for a, b in pairs]
    low, ratio, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Result(
        ratio=ratio,
        low=low,
        high=high,
        a=statistics.median(a for a, _ in pairs),
        b=statistics.median(b for _, b in pairs),
        unit=case.unit,
        what=case.what,
    )


def _measure_pair(measure_a: Measure, measure_b: Measure, *, a_first: bool) -> tuple[float, float]:
    if a_first:
        a = measure_a()
        return a, measure_b()
    b = measure_b()
    return measure_a(), b
