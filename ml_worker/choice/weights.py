"""The weights of a blend, by coordinate ascent on the NDCG of held-out events."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml_worker.recommenders.selection import best_of

CUTOFF: Final = 10
FINDING_CUTOFF: Final = 20
"""Weights are found by a longer list than they are judged by: twice as many hits, so that taste is less easily taken for noise."""
STEPS: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5)
SWEEPS: Final = 3
DRAWS: Final = 5
DOUBT: Final = 700
NEARLY: Final = 0.9
LEAST_WEIGHT: Final = 0.02
DRAWN: Final = 0.6
# Less is noise that would only lengthen the training.
LEAST_GAIN: Final = 2e-4
_DISCOUNTS: Final = 1 / np.log2(np.arange(2, FINDING_CUTOFF + 2))
# How much is left of the careful weights.
_STEPS_BACK: Final = (1.0, 0.75, 0.5, 0.25, 0.0)
_IDEAL: Final = np.r_[0, np.cumsum(_DISCOUNTS)]


def ndcg_of(
    scores: NDArray[np.float32], is_right: NDArray[np.bool_], sizes: NDArray[np.integer], *, cutoff: int = CUTOFF
) -> NDArray[np.float64]:
    """NDCG@10 of each row of scores [questions × columns]; `sizes` counts what there is to find, in a column or not.

    Equal scores go by column, as in the lists that users get. Another `cutoff` than 10 is at most 20.
    """
    count = min(cutoff, scores.shape[1])
    best = best_of(scores, count=count).items
    hits = np.take_along_axis(is_right, np.maximum(best, 0), axis=1) & (best >= 0)
    gains: NDArray[np.float64] = hits @ _DISCOUNTS[:count] / np.maximum(_IDEAL[np.minimum(sizes, cutoff)], 1e-12)
    return gains


def find_weights(
    scores: Mapping[str, NDArray[np.float32]], is_right: NDArray[np.bool_], sizes: NDArray[np.integer], *, seed: int = 0
) -> dict[str, float]:
    """A weight for each part, from standard scores of some columns [questions × columns].

    The mean of the weights that `DRAWS` random subsets of the questions ask for, drawn towards equal weights for all parts that are
    nearly as good as the best: what only some users need is noise, and so is by how little one good part beats another. These count as
    much as `DOUBT` questions. If the best part alone is better than this, it goes as far as it must towards what all questions ask for,
    which the best part is not better than.
    """
    found: list[dict[str, float]] = []
    random = np.random.default_rng(seed)
    for _ in range(DRAWS):
        rows = np.sort(random.choice(len(sizes), max(1, round(DRAWN * len(sizes))), replace=False))
        found.append(_ascend({name: of_part[rows] for name, of_part in scores.items()}, is_right[rows], sizes[rows]))
    drawn = {name: float(np.mean([draw[name] for draw in found])) for name in scores}
    alone = {name: float(ndcg_of(of_part, is_right, sizes).mean()) for name, of_part in scores.items()}
    careful = _moderated(drawn, alone, len(sizes))
    asked: dict[str, float] | None = None
    for share in _STEPS_BACK:
        if share < 1 and asked is None:
            asked = _ascend(scores, is_right, sizes, cutoff=CUTOFF, start=careful)
        weights = _rounded({name: share * weight + (1 - share) * (asked or careful)[name] for name, weight in careful.items()})
        if float(ndcg_of(mixture(scores, weights), is_right, sizes).mean()) >= max(alone.values()):
            return weights
    return dict.fromkeys(scores, 0.0) | {max(alone, key=lambda name: alone[name]): 1.0}


def _moderated(weights: dict[str, float], alone: Mapping[str, float], questions: int) -> dict[str, float]:
    """Drawn towards equal weights for all parts that are nearly as good as the best, the more the fewer questions there are."""
    good = [name for name, value in alone.items() if value >= NEARLY * max(alone.values())]
    trust = questions / (questions + DOUBT)
    return {name: trust * weight + (1 - trust) * (name in good) / len(good) for name, weight in weights.items()}


def _rounded(weights: dict[str, float]) -> dict[str, float]:
    """What hardly counts is not worth its training and its time in every answer."""
    return {name: round(weight, 3) if weight >= LEAST_WEIGHT else 0.0 for name, weight in weights.items()}


def mixture(scores: Mapping[str, NDArray[np.float32]], weights: Mapping[str, float]) -> NDArray[np.float32]:
    """The sum of the parts by their weights."""
    total = np.zeros_like(next(iter(scores.values())))
    for name, weight in weights.items():
        if weight:
            total += np.float32(weight) * scores[name]
    return total


def _ascend(
    scores: Mapping[str, NDArray[np.float32]],
    is_right: NDArray[np.bool_],
    sizes: NDArray[np.integer],
    *,
    cutoff: int = FINDING_CUTOFF,
    start: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """From the best part alone, or from `start`: one weight after the other takes the value of `STEPS` that is best while the others stay,
    until a sweep changes nothing. A part that does not help gets 0. The weights add up to 1.
    """
    alone = {name: float(ndcg_of(of_part, is_right, sizes, cutoff=cutoff).mean()) for name, of_part in scores.items()}
    order = sorted(alone, key=lambda name: -alone[name])
    weights = dict(start or dict.fromkeys(scores, 0.0) | {order[0]: 1.0})
    reached = float(ndcg_of(mixture(scores, weights), is_right, sizes, cutoff=cutoff).mean()) if start else alone[order[0]]
    for _ in range(SWEEPS):
        before = reached
        for name in order:
            if not any(weight for other, weight in weights.items() if other != name):
                continue  # the only part: its weight means nothing
            rest = mixture(scores, weights | {name: 0.0})
            for step in STEPS:
                value = float(ndcg_of(rest + np.float32(step) * scores[name], is_right, sizes, cutoff=cutoff).mean())
                # To drop a part may cost what to take one in has to bring.
                if step != weights[name] and value > reached + (LEAST_GAIN if step else -LEAST_GAIN / 2):
                    weights[name], reached = step, value
        if reached <= before + LEAST_GAIN:
            break
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
