"""Looks for good parameters until a time is over: many configurations on a part of the users, the best of them on all."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ml_worker.evaluation.intervals import intervals
from ml_worker.evaluation.lists import rank
from ml_worker.evaluation.metrics import accuracy, find_hits
from ml_worker.evaluation.splits import Split
from ml_worker.recommenders.base import NothingToLearn, Progress, TrainingDiverged
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.registry import find_recommender
from ml_worker.workbench.journal import Journal, Trial
from ml_worker.workbench.spaces import space

BRACKET: Final = 8
"""Configurations drawn at a time; the best quarter of them is tried on all users (successive halving, Jamieson and Talwalkar 2016)."""
KEPT: Final = 2
FIRST_SHARE: Final = 0.25
MOST_QUESTIONS: Final = 5000


@dataclass(frozen=True, slots=True)
class Search:
    """A search for one algorithm: on these questions, by this metric; the same seed draws the same configurations."""

    algorithm: str
    split: Split
    metric: str
    seed: int
    journal: Journal

    def run(self, *, until: float, progress: Progress) -> None:
        """Try the preset, then bracket after bracket, until `time.monotonic()` passes `until`; at least the preset is tried."""
        began = time.monotonic()
        preset = find_recommender(self.algorithm).Config().model_dump(mode="json")
        self._try(preset, 1.0)
        for number, configs in enumerate(self._brackets()):
            scored = []
            for config in configs:
                if time.monotonic() >= until:
                    return
                scored.append(self._try(config, FIRST_SHARE))
                progress(min(0.99, (time.monotonic() - began) / max(until - began, 1e-9)), self._note(number))
            for trial in sorted(scored, key=_score, reverse=True)[:KEPT]:
                if time.monotonic() >= until:
                    return
                self._try(trial.config, 1.0)

    def best(self) -> Trial | None:
        """The best configuration on all users so far."""
        finished = [
            trial for trial in self.journal.trials if trial.algorithm == self.algorithm and trial.share == 1 and trial.score is not None
        ]
        return max(finished, key=_score, default=None)

    def _brackets(self) -> Iterator[list[dict[str, Any]]]:
        algorithm = find_recommender(self.algorithm)
        draws = space(algorithm.Config)
        if not draws:
            return
        random = np.random.default_rng(self.seed)
        while True:
            drawn = [{name: draw(random) for name, draw in draws.items()} for _ in range(BRACKET)]
            yield [algorithm.Config.model_validate(values).model_dump(mode="json") for values in drawn]

    def _try(self, config: dict[str, Any], share: float) -> Trial:
        known = self.journal.find(self.algorithm, config, share)
        if known is not None:
            return known
        algorithm = find_recommender(self.algorithm)
        recommender = algorithm(algorithm.Config.model_validate(config))
        began = time.monotonic()
        score, low, high, note = None, None, None, ""
        try:
            recommender.fit(_some_users(self.split.train, share, self.seed))
            ranked = rank(recommender, self.split, count=int(self.metric.partition("@")[2]))
        except (TrainingDiverged, NothingToLearn) as error:
            note = str(error)
        else:
            values = accuracy(find_hits(ranked, self.split.test), self.split.test.sizes, cutoffs=(ranked.shape[1],))
            score, low, high = intervals({self.metric: values[self.metric]}, users=self.split.test.rows)[self.metric]
        trial = Trial(
            search=self.journal.search,
            algorithm=self.algorithm,
            config=config,
            share=share,
            score=score,
            low=low,
            high=high,
            seconds=round(time.monotonic() - began, 2),
            note=note,
        )
        self.journal.add(trial)
        return trial

    def _note(self, bracket: int) -> str:
        best = self.best()
        shown = "" if best is None else f", best {best.score:.4f}"
        return f"round {bracket + 1}, {len(self.journal.trials)} trials{shown}"


def fewer_questions(split: Split, seed: int) -> Split:
    """At most `MOST_QUESTIONS` of the questions, drawn at random: comparing needs no more."""
    if len(split.test) <= MOST_QUESTIONS:
        return split
    return split.take(np.sort(np.random.default_rng(seed).choice(len(split.test), MOST_QUESTIONS, replace=False)))


def _some_users(interactions: Interactions, share: float, seed: int) -> Interactions:
    """The events of a random share of the users; nothing else changes."""
    if share >= 1:
        return interactions
    is_in = np.random.default_rng(seed).random(len(interactions.user_ids)) < share
    return interactions.part(is_in[interactions.users])


def _score(trial: Trial) -> float:
    return float("-inf") if trial.score is None else trial.score
