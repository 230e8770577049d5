"""Trains models on one split, asks them its questions and measures their lists."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_worker.evaluation.lists import rank
from ml_worker.evaluation.metrics import CUTOFFS, Catalogue, Measured, Values, accuracy, find_hits, measure
from ml_worker.evaluation.splits import Split
from ml_worker.evaluation.truth import Truth
from ml_worker.recommenders.base import Recommender
from ml_worker.workbench.bars import Stages

COLD_EVENTS = 5
"""Users and items with fewer training events than this are cold."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model that is ready to be trained, and how it was chosen where it was."""

    recommender: Recommender
    choice: Mapping[str, Any] | None = None


class Seconds(NamedTuple):
    """How long each part took."""

    choosing: float
    training: float
    ranking: float


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One trained model and its lists."""

    name: str
    recommender: Recommender
    choice: Mapping[str, Any] | None
    measured: Measured  # on the questions of users with a history
    values: Values  # accuracy on all questions
    cold_items: Values  # accuracy on `Contest.cold`
    seconds: Seconds


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """One split for all models, and which of its questions are about cold users or cold items."""

    split: Split
    catalogue: Catalogue
    history_counts: NDArray[np.int64]  # [questions] events known of the user when asked
    asks_cold: NDArray[np.bool_]  # [questions] whether a cold item is to be found
    cold: Truth  # these questions, with the cold items only

    @classmethod
    def of(cls, split: Split) -> "Contest":
        """The contest on this split."""
        is_cold = np.bincount(split.train.items, minlength=len(split.train.item_ids)) < COLD_EVENTS
        asks_cold = np.zeros(len(split.test), dtype=np.bool_)
        asks_cold[split.test.questions[is_cold[split.test.items]]] = True
        return cls(split, Catalogue(split.train), split.live.seen, asks_cold, split.test.only(is_cold))

    @property
    def has_history(self) -> NDArray[np.bool_]:
        """The questions that can be answered personally."""
        return self.history_counts > 0

    def enter(self, name: str, prepare: Callable[[], Prepared], *, stages: Stages, cutoffs: Sequence[int] = CUTOFFS) -> Entry:
        """Choose, train, ask and measure one model. Raises what choosing and training raise."""
        clock = [time.monotonic()]
        prepared = prepare()
        recommender = prepared.recommender
        clock.append(time.monotonic())
        recommender.fit(self.split.train, progress=stages(f"{name}: training"))
        clock.append(time.monotonic())
        ranked = rank(recommender, self.split, count=max(cutoffs), progress=stages(f"{name}: lists"))
        clock.append(time.monotonic())
        test, known = self.split.test, self.has_history
        return Entry(
            name=name,
            recommender=recommender,
            choice=prepared.choice,
            measured=measure(ranked[known], test.take(known), self.catalogue, cutoffs=cutoffs),
            values=accuracy(find_hits(ranked, test), test.sizes, cutoffs=cutoffs),
            cold_items=accuracy(find_hits(ranked[self.asks_cold], self.cold), self.cold.sizes, cutoffs=cutoffs),
            seconds=Seconds(*np.diff(clock).tolist()),
        )
