"""How good ranked lists are: accuracy by question over the full catalogue, and what the lists are made of. Arrays in, numbers out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.evaluation.truth import Truth
from ml_worker.recommenders.interactions import Interactions

CUTOFFS: Final = (10, 20, 50)
ACCURACY: Final = ("ndcg", "recall", "capped_recall", "hr", "mrr", "map")
"""The metrics of `accuracy`, by their names."""
NOBODY: Final = -1
"""Fills the end of a list that is shorter than the others."""

# Whole lists are compared item with item only for this many questions: the mean hardly moves, the time does.
DIVERSITY_QUESTIONS = 1000

Values = Mapping[str, NDArray[np.float64]]
"""By `metric@k`, one number a question."""


class InvalidRanking(Exception):
    """Ranked lists that cannot be measured; the message says why."""


def find_hits(ranked: NDArray[np.int32], truth: Truth) -> NDArray[np.bool_]:
    """Which places of the lists [questions × k], padded with −1, hold an item that was to be found. Raises `InvalidRanking`."""
    if ranked.ndim != 2 or len(ranked) != len(truth):  # noqa: PLR2004
        raise InvalidRanking(f"lists of the shape {ranked.shape} do not answer {len(truth)} questions")
    ascending = np.sort(ranked, axis=1)
    if ((ascending[:, 1:] == ascending[:, :-1]) & (ascending[:, 1:] != NOBODY)).any():
        raise InvalidRanking("a list names an item twice")
    width = np.int64(max(ranked.max(initial=0), truth.items.max(initial=0)) + 1)
    wanted = np.sort(truth.questions * width + truth.items)
    if not len(wanted):
        return np.zeros(ranked.shape, dtype=np.bool_)
    keys = np.arange(len(ranked))[:, None] * width + ranked
    nearest = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    hits: NDArray[np.bool_] = (wanted[nearest] == keys) & (ranked != NOBODY)
    return hits


def ndcg(hits: NDArray[np.bool_], sizes: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """Normalized discounted cumulative gain (Järvelin and Kekäläinen 2002) [questions].

    The gain of a hit is 1, its discount 1 / log2(rank + 1); the ideal list has hits in its first min(k, |truth|) places.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.r_[0, np.cumsum(discounts)][np.minimum(sizes, k)]
    return _ratio(hits[:, :k] @ discounts[: hits.shape[1]], ideal)


def recall(hits: NDArray[np.bool_], sizes: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """Hits / |truth| [questions]; cannot reach 1 where there is more to find than k."""
    return _ratio(hits[:, :k].sum(axis=1), sizes)


def capped_recall(hits: NDArray[np.bool_], sizes: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """Hits / min(k, |truth|) [questions], which some publications call recall."""
    return _ratio(hits[:, :k].sum(axis=1), np.minimum(sizes, k))


def hit_rate(hits: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """1 where at least one place is a hit [questions]."""
    return np.asarray(hits[:, :k].any(axis=1), dtype=np.float64)


def reciprocal_rank(hits: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """1 / rank of the first hit, 0 without one [questions]; its mean is the MRR."""
    shares = hits[:, :k] / np.arange(1, min(k, hits.shape[1]) + 1)
    return np.asarray(shares.max(axis=1, initial=0.0))


def average_precision(hits: NDArray[np.bool_], sizes: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """The sum of the precisions at the hits / min(k, |truth|) [questions]; its mean is the MAP."""
    cut = hits[:, :k]
    precision = np.cumsum(cut, axis=1) / np.arange(1, cut.shape[1] + 1)
    return _ratio((precision * cut).sum(axis=1), np.minimum(sizes, k))


def accuracy(hits: NDArray[np.bool_], sizes: NDArray[np.integer], *, cutoffs: Sequence[int] = CUTOFFS) -> dict[str, NDArray[np.float64]]:
    """All of `ACCURACY` at every cut-off."""
    values: dict[str, NDArray[np.float64]] = {}
    for k in cutoffs:
        values[f"ndcg@{k}"] = ndcg(hits, sizes, k)
        values[f"recall@{k}"] = recall(hits, sizes, k)
        values[f"capped_recall@{k}"] = capped_recall(hits, sizes, k)
        values[f"hr@{k}"] = hit_rate(hits, k)
        values[f"mrr@{k}"] = reciprocal_rank(hits, k)
        values[f"map@{k}"] = average_precision(hits, sizes, k)
    return values


@dataclass(frozen=True)
class Catalogue:
    """What is known of the items of the training data, to judge what lists are made of."""

    train: Interactions

    def coverage(self, ranked: NDArray[np.int32], k: int) -> float:
        """The share of the whole catalogue that is in at least one list."""
        shown = np.unique(ranked[:, :k])
        return np.count_nonzero(shown != NOBODY) / max(1, len(self.train.item_ids))

    def novelty(self, ranked: NDArray[np.int32], k: int) -> NDArray[np.float64]:
        """The mean of −log2(share of training users who met the item) over each list, in bits [questions] (Vargas and Castells 2011).

        An item nobody met counts as met by one user. NaN for an empty list.
        """
        cut = ranked[:, :k]
        is_item = cut != NOBODY
        bits = np.where(is_item, self._surprise[cut], 0.0)
        return _ratio(bits.sum(axis=1), is_item.sum(axis=1), otherwise=np.nan)

    def diversity(self, ranked: NDArray[np.int32], cutoffs: Sequence[int] = CUTOFFS) -> dict[int, NDArray[np.float64]]:
        """By cut-off, the mean of 1 − cosine over the pairs of each list (intra-list diversity, Ziegler et al. 2005) [questions].

        Items are compared by their features, without any by who met them. NaN for lists of fewer than two items, and for
        all but an even selection of `DIVERSITY_QUESTIONS`.
        """
        chosen = np.unique(np.linspace(0, len(ranked) - 1, min(len(ranked), DIVERSITY_QUESTIONS)).astype(np.int64))
        values = {k: np.full(len(ranked), np.nan) for k in cutoffs}
        for start in range(0, len(chosen), 256):
            tile = chosen[start : start + 256]
            summed: csr_matrix | None = None
            done = 0
            for k in sorted(cutoffs):
                more = self._select(ranked[tile, done:k]) @ self._directions
                summed, done = more if summed is None else summed + more, k
                values[k][tile] = self._spread(ranked[tile, :k], np.asarray(summed.multiply(summed).sum(axis=1)).ravel())
        return values

    def _select(self, ranked: NDArray[np.int32]) -> csr_matrix:
        is_item = ranked != NOBODY
        offsets = np.r_[0, np.cumsum(is_item.sum(axis=1))]
        return csr_matrix((np.ones(offsets[-1]), ranked[is_item], offsets), shape=(len(ranked), len(self.train.item_ids)))

    def _spread(self, ranked: NDArray[np.int32], square: NDArray[np.float64]) -> NDArray[np.float64]:
        # |Σ v|² = Σ|v|² + 2 Σ over pairs of v·w; items without a direction are like nothing, itself not excepted.
        is_item = ranked != NOBODY
        lengths = np.where(is_item, self._lengths[ranked], 0.0).sum(axis=1)
        count = is_item.sum(axis=1)
        return 1 - _ratio(square - lengths, count * (count - 1), otherwise=np.nan)

    @cached_property
    def _surprise(self) -> NDArray[np.float64]:
        pairs = np.unique(self.train.users.astype(np.int64) * max(1, len(self.train.item_ids)) + self.train.items)
        met = np.bincount(pairs % max(1, len(self.train.item_ids)), minlength=len(self.train.item_ids))
        users = max(1, len(np.unique(self.train.users)))
        bits: NDArray[np.float64] = -np.log2(np.maximum(met, 1) / users)
        return bits

    @cached_property
    def _directions(self) -> csr_matrix:
        """Unit vectors of the items [items × features or users], zero where nothing is known."""
        features = self.train.item_features
        vectors = (self.train.matrix() != 0).T.tocsr() if features is None else features
        vectors = vectors.astype(np.float64)
        norms = np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel())
        return vectors.multiply(_ratio(np.ones(len(norms)), norms)[:, None]).tocsr()

    @cached_property
    def _lengths(self) -> NDArray[np.float64]:
        return np.asarray(self._directions.multiply(self._directions).sum(axis=1)).ravel()


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """All metrics of one model on one set of questions: by question, and those that belong to the lists as a whole."""

    values: Values
    coverage: Mapping[str, float]


def measure(ranked: NDArray[np.int32], truth: Truth, catalogue: Catalogue | None = None, *, cutoffs: Sequence[int] = CUTOFFS) -> Measured:
    """Everything about lists [questions × at least max(cutoffs), padded with −1]; beyond accuracy only with a catalogue.

    Raises `InvalidRanking`.
    """
    values = accuracy(find_hits(ranked, truth), truth.sizes, cutoffs=cutoffs)
    if catalogue is None:
        return Measured(values, {})
    for k in cutoffs:
        values[f"novelty@{k}"] = catalogue.novelty(ranked, k)
    values |= {f"diversity@{k}": column for k, column in catalogue.diversity(ranked, cutoffs).items()}
    return Measured(values, {f"coverage@{k}": catalogue.coverage(ranked, k) for k in cutoffs})


def _ratio(above: NDArray[np.number], below: NDArray[np.number], *, otherwise: float = 0.0) -> NDArray[np.float64]:
    """The quotients, `otherwise` where the divisor is 0."""
    made = np.full(np.shape(above), otherwise, dtype=np.float64)
    np.divide(above, below, out=made, where=below != 0)
    return made
