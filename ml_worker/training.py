"""Trains what a task asks for, and has the gate judge it, with progress by stage."""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, Self

import numpy as np

from core.statement import Row
from ml_worker import gate
from ml_worker.choice.choose import Choice
from ml_worker.evaluation.metrics import Measured
from ml_worker.gate import Exam, Rival
from ml_worker.recipes import Chooser, InvalidParameters, recipe
from ml_worker.recommenders.base import NothingToLearn, Recommender
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.popular import Popular
from ml_worker.recommenders.registry import UnknownAlgorithm
from ml_worker.registry import TrainedModel
from ml_worker.settings import WorkerSettings

READING_SHARE: Final = 0.1
"""Of the progress, what reading the interactions is taken for."""

PARTIAL_USERS: Final = 1000
"""A partial training is judged on no more users than this: it must stay quick."""
NOTHING_NEW: Final = "nobody with a past liked anything new in the last interactions"


class Report(Protocol):
    """Takes the share done (0 to 1) and a note; may raise to stop the training."""

    def __call__(self, done: float, note: str | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Live:
    """The version that is live, as far as a training needs it."""

    version_id: int
    algorithm: str
    parameters: Mapping[str, Any]

    @classmethod
    def of(cls, row: Row) -> Self:
        """The version in this row of `core.model_versions`."""
        return cls(row["id"], row["algorithm"], row["parameters"])

    @property
    def title(self) -> str:
        return f"version {self.version_id} ({self.algorithm}), which is live"


@dataclass(frozen=True, slots=True)
class Standard:
    """How strict the gate is: the share of the last interactions it takes, and how many users make a judgement.

    `only_by_time` is for models that learn from elsewhere, and can be kept from knowing only what is later than some moment.
    """

    share: float
    min_users: int
    only_by_time: bool = False

    @classmethod
    def of(cls, settings: WorkerSettings) -> Self:
        """As the settings have it."""
        return cls(settings.gate_share, settings.gate_min_users)


def train_full(
    asked: Sequence[Recommender | Chooser],
    interactions: Interactions,
    *,
    live: Live | None,
    standard: Standard,
    window: Mapping[str, Any],
    progress: Report,
) -> list[TrainedModel]:
    """Judge each of the models on the last interactions, then fit it on everything. Raises what `Recommender.fit` raises.

    If nothing is live and none of them passes, popularity is added, so that there is something to serve.
    """
    exam = gate.set_exam(interactions, share=standard.share, only_by_time=standard.only_by_time)
    stages = Stages(progress, 2 * len(asked) + sum(isinstance(model, Chooser) for model in asked) + (live is not None))
    # Chosen without the slice too: what was chosen by it would be flattered by it.
    choices = [_choose(model, exam, interactions, stages) for model in asked]
    models = [choice.recommender for choice in choices]
    held_out = _live_recipe(live, models) if exam else None
    rivals = _rivals(exam, live, held_out, stages) if exam else []
    trained, measured = [], []
    for model, choice in zip(models, choices, strict=True):
        others = [rival for rival in rivals if rival.name != "live" or not _is_same(model, held_out)]
        judged = _judge(model, exam, others, standard, stages)
        measured.append(judged.measured)
        trained.append(_fit(model, interactions, window, judged.with_choice(choice), stages.next(f"training {model.name}")))
    trained = _compared(trained, measured)
    if live is None and all(model.is_refused for model in trained):
        reason = f"nothing is live and the gate refused {' and '.join(model.name for model in models)}: popularity serves meanwhile"
        fallback = Judged(verdict=gate.unjudged("") | {"verdict": "passed", "reason": reason})
        trained.append(_fit(Popular(), interactions, window, fallback, stages.next("counting")))
    return trained


def _compared(trained: Sequence[TrainedModel], measured: Sequence[Measured | None]) -> list[TrainedModel]:
    """The models, of which those say so that another is preferred to."""
    passed = [(place, one) for place, one in enumerate(measured) if one is not None and trained[place].gate.get("verdict") == "passed"]
    reasons = gate.passed_over([(trained[place].recommender.name, one) for place, one in passed])
    over = {passed[index][0]: reason for index, reason in reasons.items()}
    return [replace(model, passed_over=over.get(place)) for place, model in enumerate(trained)]


def _choose(model: Recommender | Chooser, exam: Exam | None, interactions: Interactions, stages: "Stages") -> Choice:
    if isinstance(model, Recommender):
        return Choice(model, {})
    known, kind = (exam.split.train, exam.kind) if exam else (interactions, "time")
    return model.choose(known, kind, stages.next("choosing what to train"))


def _live_recipe(live: Live | None, ours: Sequence[Recommender]) -> Recommender | None:
    """What the live version was trained by, to be fitted without the slice; None where nothing else is being trained, or it cannot be."""
    if live is None:
        return None
    try:
        theirs = recipe(live.algorithm, live.parameters)
    except (UnknownAlgorithm, InvalidParameters):  # of a plug-in that is gone, or of another version of Marquee
        return None
    return None if all(_is_same(model, theirs) for model in ours) else theirs


def _is_same(ours: Recommender, theirs: Recommender | None) -> bool:
    return theirs is not None and (theirs.name, theirs.config) == (ours.name, ours.config)


def _rivals(exam: Exam, live: Live | None, held_out: Recommender | None, stages: "Stages") -> list[Rival]:
    popular = Popular()
    popular.fit(exam.split.train)
    rivals = [Rival("popular", "popularity", exam.measure(popular))]
    if live is not None and held_out is not None:
        held_out.fit(exam.split.train, progress=stages.next(f"fitting the recipe of version {live.version_id} for the gate"))
        rivals.insert(0, Rival("live", live.title, exam.measure(held_out), live.version_id))
    return rivals


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict, what was measured as the registry keeps it, and user by user."""

    verdict: Mapping[str, Any]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    measured: Measured | None = None

    def with_choice(self, choice: Choice) -> Self:
        """With what was tried, if the model was chosen."""
        return replace(self, metrics={**self.metrics, "choice": choice.report}) if choice.report else self


def _judge(model: Recommender, exam: Exam | None, rivals: list[Rival], standard: Standard, stages: "Stages") -> Judged:
    report = stages.next(f"fitting {model.name} for the gate")
    if exam is None:
        return Judged(gate.unjudged(NOTHING_NEW))
    candidate = copy.copy(model)  # with all it was made with
    try:
        candidate.fit(exam.split.train, progress=report)
    except NothingToLearn:
        return Judged(gate.unjudged("nobody liked anything before the interactions to judge by"))
    ours = exam.measure(candidate)
    return Judged(gate.judge(exam, ours, rivals, min_users=standard.min_users), gate.report(exam, ours, rivals), ours)


def _fit(model: Recommender, interactions: Interactions, window: Mapping[str, Any], judged: Judged, progress: Report) -> TrainedModel:
    started = time.monotonic()
    model.fit(interactions, progress=progress)
    return TrainedModel(model, window, training_seconds=time.monotonic() - started, metrics=judged.metrics, gate=judged.verdict)


def train_partial(
    model: Recommender,
    interactions: Interactions,
    *,
    since: int,
    live: Live,
    standard: Standard,
    window: Mapping[str, Any],
    progress: Report,
) -> TrainedModel:
    """Bring the loaded live model up to all of the interactions, of which those from `since` on are new, and see that it does no harm.

    Raises what `Recommender.update` raises.
    """
    stages = Stages(progress, 2)
    exam = gate.set_exam(interactions.part(np.arange(since)), share=standard.share, most=PARTIAL_USERS, is_seen=True)
    before = exam.measure(model) if exam else None
    started = time.monotonic()
    model.update(interactions, since=since, progress=stages.next(f"updating {model.name}"))
    seconds = time.monotonic() - started
    metrics: Mapping[str, Any] = {}
    verdict: Mapping[str, Any] = gate.unjudged(NOTHING_NEW)
    stages.next("judging")(0.0)
    if exam is not None and before is not None:
        ours, rivals = exam.measure(model), [Rival("live", live.title, before, live.version_id)]
        metrics, verdict = gate.report(exam, ours, rivals), gate.judge(exam, ours, rivals, min_users=standard.min_users)
    return TrainedModel(model, window, training_seconds=seconds, scope="partial", parent_id=live.version_id, metrics=metrics, gate=verdict)


class Stages:
    """Maps the share done of one stage after the other into the share done of the task."""

    def __init__(self, progress: Report, count: int) -> None:
        self._progress = progress
        self._width = (1 - READING_SHARE) / count
        self._begun = 0

    def next(self, name: str) -> Report:
        """What the next stage reports to."""
        start = min(READING_SHARE + self._begun * self._width, 1.0)
        self._begun += 1

        def report(done: float, note: str | None = None) -> None:
            self._progress(min(start + done * self._width, 1.0), f"{name}: {note}" if note else name)

        return report
