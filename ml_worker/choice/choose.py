"""Chooses what to serve for some data: the parts and their parameters, the weights of the blend, and whether a second stage pays."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_worker.choice.candidates import CANDIDATES, Candidate, sized
from ml_worker.choice.trial import Trials, described
from ml_worker.choice.weights import find_weights, mixture, ndcg_of
from ml_worker.evaluation.intervals import Interval, intervals
from ml_worker.evaluation.truth import Truth
from ml_worker.recommenders.base import NothingToLearn, Progress, Recommender, TrainingDiverged, ignore
from ml_worker.recommenders.blend import Blend
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.lessons import Lesson, NoLesson, Task, make_lesson
from ml_worker.recommenders.popular import Popular
from ml_worker.recommenders.rerank import Early, Examples, Rerank, make_examples, mixed, said_of, train_trees
from ml_worker.recommenders.threads import both

BUDGET_SECONDS: Final = 240.0
"""When no time is given. What is begun is finished, and the chosen model is trained afterwards."""

_MOST_QUESTIONS: Final = 6000
_MOST_SCORES: Final = 30_000_000
# Trees learn from as many as are worth their time: on MovieLens-1M 26,000 next events instead of 8,000 gave .174 for .172.
_TREE_QUESTIONS: Final = 30_000
_DEEPEST: Final = 8
_MIXES: Final = (0.3, 0.5, 0.75, 1.0)
# What takes all the time it gets has it until this share of the budget is gone; before a second stage, the weights are to be found.
_TRYING: Final = 0.85
# A second stage is begun until then: it makes more of what was tried than its time would have made of further trials.
_LATEST_STAGE: Final = 1.25
# Trials, weights and trees take these shares of the progress.
_TRIALS, _WEIGHTS = 0.65, 0.75
# All parts are trained again, with a second stage behind questions that were given even twice; so many budgets may have passed then.
_WHOLE: Final = 1.75
# Little is held out, whatever the test holds: models are ranked differently on clearly thinner data.
_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """An untrained model, and why: what was tried, with NDCG@10 on held-out events and its 95 % interval; plain values for JSON."""

    recommender: Recommender
    report: Mapping[str, Any]


def choose(
    interactions: Interactions,
    *,
    protocol: Task,
    budget_seconds: float = BUDGET_SECONDS,
    validation: Truth | None = None,
    progress: Progress = ignore,
    seed: int = 0,
) -> Choice:
    """The best model for these interactions that the time allows to find, to be trained on all of them.

    What is held out for choosing imitates the protocol; with `validation` the
    questions are those, and nothing is held out. Of each family of candidates the best is taken, weights are found by coordinate ascent,
    and boosted trees behind the blend are taken if they are better on users whose answers they were not trained on.
    Where nothing can be held out, popularity is chosen, and the report says why.
    """
    clock = _Clock(budget_seconds)
    try:
        lesson = _lesson(interactions, protocol, seed) if validation is None else _given(interactions, validation)
    except NoLesson as reason:
        return Choice(Popular(), {"protocol": protocol, "model": "popular", "why": f"nothing to choose by: {reason}", "candidates": []})
    lesson = lesson.sample(max(1, min(_MOST_QUESTIONS, _MOST_SCORES // max(1, len(interactions.item_ids)))), seed)
    trials = Trials(lesson)
    _try_all(trials, protocol, clock, progress)
    if not trials.best:
        return Choice(Popular(), {"protocol": protocol, "model": "popular", "why": "no candidate could be trained", "candidates": []})
    progress(_TRIALS, "finding the weights")
    scores, is_right = trials.scores()
    weights = find_weights(scores, is_right, trials.sizes, seed=seed)
    blended = ndcg_of(mixture(scores, weights), is_right, trials.sizes)
    del scores
    progress(_WEIGHTS, "weights found")
    asked = _Asked(protocol, seed, _depth(interactions), interactions if validation is None else None)
    stage = _second_stage(trials, weights, asked, clock, progress)
    progress(1.0, f"{'rerank' if stage.is_better else 'blend'} chosen")
    return _chosen(trials, weights, blended, stage, (protocol, clock, validation is not None))


class _Clock:
    def __init__(self, budget: float) -> None:
        self.started, self.budget = time.monotonic(), budget

    @property
    def spent(self) -> float:
        return time.monotonic() - self.started

    def has(self, share: float) -> bool:
        """Whether less than this share of the budget is spent."""
        return self.spent < share * self.budget


class _Asked(NamedTuple):
    """What questions are asked, and what their lesson was cut from, if it was: then parts as they were tried serve a second stage."""

    task: Task
    seed: int
    depth: int
    source: Interactions | None


@dataclass(frozen=True, slots=True, eq=False)
class _Stage:
    """The trial of the second stage; without gains there was none."""

    config: Rerank.Config
    why: str
    early: Early | None = None
    gains: NDArray[np.float64] | None = None
    base: NDArray[np.float64] | None = None

    @property
    def is_better(self) -> bool:
        """Better than the blend by more than one standard error of the difference: it costs time with every answer."""
        if self.gains is None or self.base is None:
            return False
        gained = self.gains - self.base
        return bool(gained.mean() > gained.std() / np.sqrt(len(gained)))


def _lesson(interactions: Interactions, protocol: Task, seed: int) -> Lesson:
    return make_lesson(interactions, protocol, share=_SHARE, depth=_depth(interactions), seed=seed)


def _depth(interactions: Interactions) -> int:
    """How many last events of each user are asked for: the fewer users, the more."""
    users = max(1, len(np.unique(interactions.users)))
    return int(np.clip(np.ceil(_TREE_QUESTIONS / users), 1, _DEEPEST))


def _given(interactions: Interactions, truth: Truth) -> Lesson:
    whole = interactions.histories()
    lengths = np.diff(whole.offsets)[truth.rows]
    asked = np.flatnonzero((lengths > 0) & (np.diff(truth.offsets) > 0))
    if not len(asked):
        raise NoLesson("nobody who is known likes anything that is known in the validation data")
    return Lesson(interactions, whole, truth.rows[asked], lengths[asked], truth.matrix(len(interactions.item_ids))[asked])


def _try_all(trials: Trials, protocol: Task, clock: _Clock, progress: Progress) -> None:
    train = trials.lesson.train
    likes = np.bincount(train.items[train.weights > 0], minlength=len(train.item_ids))
    candidates = CANDIDATES[protocol]
    for number, candidate in enumerate(candidates):
        # The trials of a family's further members end early; its first is tried until most of the time is gone. Strangers need popularity.
        is_needed = candidate.family == "popular" and "popular" not in trials.best
        if trials.best and not is_needed and not clock.has(0.35 if candidate.family in trials.best else 0.6):
            continue

        def told(done: float, note: str, number: int = number, candidate: Candidate = candidate) -> None:
            progress(_TRIALS * (number + done) / len(candidates), f"trying {candidate.family}: {note}")

        try:
            trials.run(sized(candidate, likes, _TRYING * clock.budget - clock.spent), told)
        except (NothingToLearn, TrainingDiverged, MemoryError) as error:
            progress(_TRIALS * (number + 1) / len(candidates), f"{candidate.family} is left out: {error}")


def _second_stage(trials: Trials, weights: Mapping[str, float], asked: _Asked, clock: _Clock, progress: Progress) -> _Stage:
    """Trees trained on one half of the questions' users, measured on the other, both ways."""
    parts = tuple(trials.best[family].part(weights[family]) for family in trials.best)
    config = Rerank.Config(parts=parts, task=asked.task, share=_SHARE, depth=asked.depth, seed=asked.seed)
    if not clock.has(_LATEST_STAGE):
        return _Stage(config, "no time was left to try a second stage")
    often = 1 if asked.source is not None else 2
    again = sum((tried.recommender.going_on if often == 1 else often) * tried.seconds for tried in trials.best.values())
    if not clock.has(_WHOLE - again / clock.budget):
        return _Stage(config, "training the parts again, for a second stage, would take too long")
    halves = trials.lesson.rows % 2
    if min(np.count_nonzero(halves), np.count_nonzero(1 - halves)) < 100:  # noqa: PLR2004
        return _Stage(config, f"{len(halves)} questions are too few to try a second stage")
    first = Blend.of_parts(Blend.Config(parts=parts), [tried.recommender for tried in trials.best.values()])
    examples = make_examples(first, trials.lesson, config)
    said = _crossed(examples, halves, config, lambda done, note: progress(_WEIGHTS + (1 - _WEIGHTS) * done, note))
    if said is None:
        return _Stage(config, "too few right answers are among the candidates to train a second stage")
    base = ndcg_of(examples.base, examples.is_right, examples.lengths)
    tried = {mix: ndcg_of(mixed(examples.base, said, mix), examples.is_right, examples.lengths) for mix in _MIXES}
    mix = max(tried, key=lambda mix: float(tried[mix].mean()))
    early = None if asked.source is None else Early(asked.source, first)
    return _Stage(config.model_copy(update={"mix": mix}), "", early, tried[mix], base)


def _crossed(examples: Examples, halves: NDArray[np.integer], config: Rerank.Config, progress: Progress) -> NDArray[np.float32] | None:
    """What trees say of the questions they were not trained on [questions × candidates]; both halves learn at the same time."""

    def of_half(half: int) -> NDArray[np.float32] | None:
        learnt, asked = (examples.take(np.flatnonzero(is_meant)) for is_meant in (halves != half, halves == half))
        text = train_trees(learnt, config, progress if half == 0 else ignore)
        return said_of(text, asked) if len(text) else None

    said = np.empty(examples.base.shape, dtype=np.float32)
    for half, of_asked in enumerate(both(lambda: of_half(0), lambda: of_half(1))):
        if of_asked is None:
            return None
        said[halves == half] = of_asked
    return said


def _chosen(
    trials: Trials,
    weights: Mapping[str, float],
    blended: NDArray[np.float64],
    stage: _Stage,
    asked: tuple[Task, _Clock, bool],
) -> Choice:
    protocol, clock, is_given = asked
    rows = trials.lesson.rows
    # A popular part stays, whatever its weight: it answers strangers.
    kept = tuple(trials.best[family].part(weight) for family, weight in weights.items() if weight > 0 or family == "popular")
    recommender: Recommender = Rerank(stage.config, early=stage.early) if stage.is_better else Blend(Blend.Config(parts=kept))
    gains = {str(number): tried.gains for number, tried in enumerate(trials.all)} | {"blend": blended}
    if stage.gains is not None and stage.base is not None:
        gains |= {"rerank": stage.gains, "rerank − blend": stage.gains - stage.base}
    bounds = intervals(gains, users=rows)
    report: dict[str, Any] = {
        "protocol": protocol,
        "held_out": "given" if is_given else "cut from the training data",
        "questions": len(rows),
        "model": recommender.name,
        "weights": {family: float(weight) for family, weight in weights.items()},
        "parameters": recommender.config.model_dump(mode="json"),
        "blend": _plain(bounds["blend"]),
        "rerank": _plain(bounds["rerank"]) if "rerank" in bounds else None,
        "rerank_over_blend": _plain(bounds["rerank − blend"]) if "rerank" in bounds else None,
        "why": stage.why or f"the second stage is {'better' if stage.is_better else 'not clearly better'} than the blend",
        "candidates": [
            described(tried, bounds[str(number)], is_part=tried is trials.best[tried.candidate.family])
            for number, tried in enumerate(trials.all)
        ],
        "seconds": round(clock.spent, 1),
    }
    return Choice(recommender, report)


def _plain(interval: Interval) -> dict[str, float]:
    return {"ndcg@10": interval.mean, "low": interval.low, "high": interval.high}
