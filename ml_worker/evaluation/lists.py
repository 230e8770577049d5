"""Asks a trained recommender the questions of a split, a tile at a time, and keeps its lists as one array."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ml_worker.evaluation.metrics import NOBODY
from ml_worker.evaluation.splits import Split
from ml_worker.recommenders.base import Progress, Ranking, Recommender, ignore

TILE_QUESTIONS = 1024


def rank(
    recommender: Recommender, split: Split, *, count: int, tile: int = TILE_QUESTIONS, progress: Progress = ignore
) -> NDArray[np.int32]:
    """The lists of all questions [questions × count], best first, padded with −1; the model must know the items of the split."""
    ranked = np.full((len(split.test), count), NOBODY, dtype=np.int32)
    for start, rankings in answers(recommender, split, count=count, tile=tile):
        for row, ranking in enumerate(rankings, start):
            ranked[row, : len(ranking.items)] = ranking.items
        done = start + len(rankings)
        progress(done / len(split.test), f"{done:,} of {len(split.test):,} lists")
    return ranked


def answers(recommender: Recommender, split: Split, *, count: int, tile: int = TILE_QUESTIONS) -> Iterator[tuple[int, list[Ranking]]]:
    """The lists with their scores a tile at a time: the first question of the tile, and one list each."""
    exclude = None if split.among is None else ~split.among
    for start in range(0, len(split.test), tile):
        questions = np.arange(start, min(start + tile, len(split.test)))
        yield start, recommender.recommend(split.histories(questions), count=count, exclude=exclude)
