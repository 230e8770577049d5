"""Interactions to learn from: drawn tastes, and the real ratings of MovieLens divided for measuring."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from ml_worker.recommenders.base import Ranking, Recommender
from ml_worker.recommenders.interactions import Histories, Interactions


@dataclass(frozen=True)
class Division:
    """Ratings divided for each user into some to learn from and some to be found."""

    training: Interactions
    withheld: Interactions

    def ndcg(self, rank) -> float:
        """The mean of `ndcgs`."""
        return float(np.mean(self.ndcgs(rank)))

    def ndcgs(self, rank) -> np.ndarray:
        """NDCG@10 of each user over the full catalogue, seen items removed, of `rank(histories)`; relevant is what was liked: 3 stars."""
        relevant = self.withheld.matrix() > 0
        rows = np.flatnonzero(np.diff(relevant.indptr))
        gains = 1 / np.log2(np.arange(2, 12))
        found = rank(self.training.histories(rows))
        values = []
        for row, ranking in zip(rows, found, strict=True):
            wanted = relevant.indices[relevant.indptr[row] : relevant.indptr[row + 1]]
            values.append((np.isin(ranking.items, wanted) * gains[: len(ranking.items)]).sum() / gains[: len(wanted)].sum())
        return np.array(values)


@pytest.fixture(scope="session")
def explain():
    """`explain(model, histories, rankings, count)`: for each user and ranked item what speaks for it, without padding."""

    def told(model: Recommender, histories: Histories, rankings: Sequence[Ranking], count: int = 3) -> list[list[np.ndarray]]:
        ranked = np.full((len(rankings), max((len(ranking.items) for ranking in rankings), default=0)), -1, dtype=np.int32)
        for row, ranking in enumerate(rankings):
            ranked[row, : len(ranking.items)] = ranking.items
        speakers = model.speakers(histories, ranked, count=count)
        return [[of[of >= 0] for of in speakers[row, : len(ranking.items)]] for row, ranking in enumerate(rankings)]

    return told


@pytest.fixture(scope="session")
def division(ratings: Interactions) -> Division:
    """At random, 80 % and 20 %."""
    draws = np.random.default_rng(0).random(len(ratings))
    order = np.lexsort((draws, ratings.users))
    counts = np.bincount(ratings.users)[ratings.users[order]]
    place = np.arange(len(order)) - np.searchsorted(ratings.users[order], ratings.users[order])
    is_withheld = np.empty(len(ratings), dtype=bool)
    is_withheld[order] = place >= np.round(0.8 * counts)
    return Division(ratings.part(~is_withheld), ratings.part(is_withheld))


@pytest.fixture(scope="session")
def next_division(ratings: Interactions) -> Division:
    """What each user liked last is to be found."""
    liked = ratings.part(ratings.weights > 0)
    order = np.lexsort((liked.times, liked.users))
    is_withheld = np.zeros(len(liked), dtype=bool)
    is_withheld[order[np.r_[np.diff(liked.users[order]) != 0, True]]] = True
    return Division(liked.part(~is_withheld), liked.part(is_withheld))
