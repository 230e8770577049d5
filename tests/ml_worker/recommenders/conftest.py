"""Interactions to learn from: drawn tastes, and the real ratings of MovieLens divided for measuring."""

from dataclasses import dataclass

import numpy as np
import pytest

from ml_worker.recommenders.interactions import Interactions


@dataclass(frozen=True)
class Division:
    """Ratings divided at random, for each user 80 % to learn from and 20 % to be found."""

    training: Interactions
    withheld: Interactions

    def ndcg(self, rank) -> float:
        """NDCG@10 over the full catalogue, seen items removed, of `rank(histories)`; relevant is what was liked, 3 stars and more."""
        relevant = self.withheld.matrix() > 0
        rows = np.flatnonzero(np.diff(relevant.indptr))
        gains = 1 / np.log2(np.arange(2, 12))
        found = rank(self.training.histories(rows))
        values = []
        for row, ranking in zip(rows, found, strict=True):
            wanted = relevant.indices[relevant.indptr[row] : relevant.indptr[row + 1]]
            values.append((np.isin(ranking.items, wanted) * gains[: len(ranking.items)]).sum() / gains[: len(wanted)].sum())
        return float(np.mean(values))


def part(whole: Interactions, chosen: np.ndarray) -> Interactions:
    columns = (column[chosen] for column in (whole.users, whole.items, whole.weights, whole.times))
    return Interactions(whole.user_ids, whole.item_ids, *columns)


@pytest.fixture(scope="session")
def division(ratings: Interactions) -> Division:
    draws = np.random.default_rng(0).random(len(ratings))
    order = np.lexsort((draws, ratings.users))
    starts = np.flatnonzero(np.r_[True, np.diff(ratings.users[order]) != 0])
    counts = np.diff(np.r_[starts, len(order)])
    place = np.arange(len(order)) - np.repeat(starts, counts)
    is_withheld = np.empty(len(ratings), dtype=bool)
    is_withheld[order] = place >= np.round(0.8 * np.repeat(counts, counts))
    return Division(part(ratings, ~is_withheld), part(ratings, is_withheld))


@pytest.fixture(scope="session")
def drawn() -> Interactions:
    """60 users of two tastes over 40 items of two kinds; a quarter liked, some disliked, some seen without a verdict."""
    rng = np.random.default_rng(7)
    users, items = np.divmod(np.arange(60 * 40), 40)
    is_met = rng.random(len(users)) < np.where((users + items) % 2 == 0, 0.5, 0.1)
    users, items = users[is_met], items[is_met]
    liked = rng.choice([1.0, 0.4, 0.0], len(users), p=[0.6, 0.3, 0.1])
    weights = np.where((users + items) % 2 == 0, liked, -0.5)
    return Interactions(
        user_ids=tuple(f"user {n}" for n in range(60)),
        item_ids=tuple(f"item {n}" for n in range(40)),
        users=users.astype(np.int32),
        items=items.astype(np.int32),
        weights=weights.astype(np.float32),
        times=np.arange(len(users), dtype=np.int64),
    )
