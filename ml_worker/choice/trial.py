"""Trains candidates on the training side of a lesson and keeps what they say of a fixed set of columns for each question."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ml_worker.choice.candidates import Candidate
from ml_worker.choice.weights import ndcg_of
from ml_worker.recommenders.base import Progress, Recommender
from ml_worker.recommenders.blend import PARTS, Part, standardized
from ml_worker.recommenders.lessons import Lesson
from ml_worker.recommenders.selection import NOT_OFFERED

_TILE: Final = 512
COLUMNS: Final = 400
"""How many columns of a question are kept of each part: its best and those of the parts before it."""
CLEARLY: Final = 2.0
"""By how many standard errors of the paired difference a candidate must beat the preset of its family: what is less is mostly chance."""


@dataclass(slots=True, eq=False)
class Tried:
    """A candidate after its trial."""

    candidate: Candidate
    recommender: Recommender
    gains: NDArray[np.float64]  # NDCG@10 of each question
    seconds: float
    best: NDArray[np.int32]  # [questions × some] its best unseen columns

    @property
    def value(self) -> float:
        """The mean."""
        return float(self.gains.mean())

    def clearly_beats(self, preset: "Tried") -> bool:
        """Whether it is better by more than chance makes likely."""
        gained = self.gains - preset.gains
        return bool(gained.mean() > CLEARLY * gained.std() / np.sqrt(len(gained)))

    def part(self, weight: float) -> Part:
        """The same as a part of a blend."""
        return Part(algorithm=self.candidate.algorithm, config=dict(self.candidate.config), weight=weight)


@dataclass(slots=True, eq=False)
class Trials:
    """All candidates tried on one lesson. Of each family one is kept trained: the first, its preset, or the best that clearly beats it."""

    lesson: Lesson
    all: list[Tried] = field(default_factory=list)
    best: dict[str, Tried] = field(default_factory=dict)
    _presets: dict[str, Tried] = field(default_factory=dict)

    def run(self, candidate: Candidate, progress: Progress) -> Tried:
        """Train and ask it. Raises what training raises."""
        started = time.monotonic()
        algorithm = PARTS[candidate.algorithm]
        made = algorithm(algorithm.Config.model_validate(dict(candidate.config)))
        made.fit(self.lesson.train, progress=progress)
        gains, best = self._ask(made)
        tried = Tried(candidate, made, gains, time.monotonic() - started, best)
        self.all.append(tried)
        preset = self._presets.setdefault(candidate.family, tried)
        if tried is preset or (tried.value > self.best[candidate.family].value and tried.clearly_beats(preset)):
            self.best[candidate.family] = tried
        return tried

    def scores(self, count: int = COLUMNS) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_]]:
        """Of the best of each family the standard scores of the columns that any of them calls good [questions × columns], and which
        are right. Columns beside these are not offered.
        """
        families = list(self.best)
        share = max(1, count // max(1, len(families)))
        width = max(1, min(count, len(self.lesson.train.item_ids)))
        chosen = np.zeros((len(self.lesson), width), dtype=np.int64)
        is_there = np.zeros((len(self.lesson), width), dtype=np.bool_)
        for row in range(len(self.lesson)):
            columns = np.unique(np.concatenate([tried.best[row, :share] for tried in self.best.values()]))
            columns = columns[columns >= 0][:width]
            chosen[row, : len(columns)], is_there[row, : len(columns)] = columns, True
        scores = {family: np.empty(chosen.shape, dtype=np.float32) for family in families}
        for questions in self._tiles():
            histories = self.lesson.histories(questions)
            for family in families:
                standard = standardized(self.best[family].recommender.scores(histories))
                scores[family][questions] = np.take_along_axis(standard, chosen[questions], axis=1)
        for of_family in scores.values():
            of_family[~is_there] = -1e9  # whatever the weights, behind everything
        is_right = np.zeros(chosen.shape, dtype=np.bool_)
        for questions in self._tiles():
            is_right[questions] = np.take_along_axis(self.lesson.answers[questions].toarray(), chosen[questions], axis=1)
        return scores, is_right & is_there

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many items there are to find for each question."""
        sizes: NDArray[np.int64] = np.diff(self.lesson.answers.indptr).astype(np.int64)
        return sizes

    def _ask(self, made: Recommender) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        width = min(COLUMNS // 2, len(self.lesson.train.item_ids))
        gains, best = np.empty(len(self.lesson)), np.full((len(self.lesson), width), -1, dtype=np.int32)
        for questions in self._tiles():
            histories = self.lesson.histories(questions)
            scores, seen = made.scores(histories), histories.matrix
            scores[np.repeat(np.arange(len(histories)), np.diff(seen.indptr)), seen.indices] = NOT_OFFERED
            gains[questions] = ndcg_of(scores, self.lesson.answers[questions].toarray(), self.sizes[questions])
            chosen = np.argpartition(-scores, width - 1, axis=1)[:, :width]
            values = np.take_along_axis(scores, chosen, axis=1)
            order = np.argsort(-values, axis=1, kind="stable")
            ordered = np.take_along_axis(chosen, order, axis=1).astype(np.int32)
            ordered[np.take_along_axis(values, order, axis=1) == NOT_OFFERED] = -1
            best[questions] = ordered
        return gains, best

    def _tiles(self) -> Iterator[NDArray[np.int64]]:
        for start in range(0, len(self.lesson), _TILE):
            yield np.arange(start, min(start + _TILE, len(self.lesson)))


def described(tried: Tried, interval: tuple[float, float, float], *, is_part: bool) -> Mapping[str, Any]:
    """A candidate for the report; `is_part`: whether it stands for its family."""
    mean, low, high = interval
    return {
        "family": tried.candidate.family,
        "algorithm": tried.candidate.algorithm,
        "parameters": dict(tried.candidate.config),
        "is_part": is_part,
        "ndcg@10": mean,
        "low": low,
        "high": high,
        "seconds": round(tried.seconds, 2),
    }
