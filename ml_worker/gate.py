"""The gate: is a freshly trained model good enough to go live? It says why not, in a sentence and in numbers.

A full training is judged on the most recent interactions, or where these are of few users on the last ones of each user: everything on
the table is fitted without them, the live version's recipe too, because its own arrays have seen them. A partial training is judged on
the last interactions that both it and the version before have seen: that flatters both alike, costs no fit, and shows whether the update
broke something.
Two models are compared user by user, with the paired bootstrap interval of the difference (Sakai 2006, doi:10.1145/1148170.1148261).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ml_worker.evaluation.intervals import Interval, differences, intervals
from ml_worker.evaluation.lists import rank
from ml_worker.evaluation.metrics import CUTOFFS, Catalogue, Measured, measure
from ml_worker.evaluation.splits import CannotSplit, Split, by_time, last_of_each
from ml_worker.recommenders.base import Progress, Recommender, ignore
from ml_worker.recommenders.interactions import Histories, Interactions

METRIC: Final = "ndcg@10"
MAX_USERS: Final = 5000
"""More users than this make no interval narrower that matters, and every one costs a ranking."""
ENOUGH_USERS: Final = 300
"""Where the most recent interactions ask fewer, the last ones of each user are asked for: by 26 users popularity was never refused."""
MOST_OF_EACH: Final = 10
"""Of one user no more of the last events are asked for than this: lists are judged by their first ten places."""
MIN_POPULAR_HITS: Final = 3
"""With too little data to judge, a model is worse than nothing if it finds nothing for anybody, and popularity does for so many."""

Verdict = Literal["passed", "refused", "too_little_data"]
Kind = Literal["time", "last_of_each"]


@dataclass(frozen=True, slots=True)
class Rival:
    """What a model is held against: `name` for programs, `title` for people."""

    name: Literal["live", "popular"]
    title: str
    measured: Measured
    version: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Exam:
    """The slice that models are measured on: users with a past, and what they liked next.

    `share` is that of all interactions by time, or that of each user's own, of which there are `MOST_OF_EACH` at most.
    """

    split: Split
    share: float
    is_seen: bool
    kind: Kind = "time"
    by_time_count: int = 0
    """How many users an exam by time would have asked."""

    @property
    def user_count(self) -> int:
        return len(self.split.test)

    def describe(self) -> dict[str, Any]:
        """For the registry: equal where the numbers of two versions may be compared."""
        times = self.split.test.times
        return {
            "kind": self.kind,
            "first_at": int(times.min()),
            "last_at": int(times.max()),
            "user_count": self.user_count,
            "liked_count": int(self.split.test.sizes.sum()),
            "share": self.share,
            "most_of_each": MOST_OF_EACH if self.kind == "last_of_each" else None,
            "is_seen": self.is_seen,
        }

    @property
    def where(self) -> str:
        """What the models were asked for, in a sentence."""
        if self.kind == "time":
            return "the last interactions both have seen" if self.is_seen else f"the most recent {self.share:.0%} of the interactions"
        seen = ", which both have seen" if self.is_seen else ""
        by_time = f"the most recent {self.share:.0%} of all ask only {self.by_time_count:,} users"
        return f"the last {self.share:.0%} of each user's interactions{seen}, at most {MOST_OF_EACH} of each, because {by_time}"

    def measure(self, model: Recommender, *, progress: Progress = ignore) -> Measured:
        """What the model, fitted on the exam's training part, finds; a model of fewer items is asked in its own columns."""
        items = self.split.train.item_ids
        asked = rank(model, self.split, count=max(CUTOFFS), progress=progress) if model.item_ids == items else self._rank_older(model)
        found = measure(asked, self.split.test)
        catalogue = Catalogue(self.split.train)
        return Measured(found.values, {f"coverage@{k}": float(catalogue.coverage(asked, k)) for k in CUTOFFS})

    def _rank_older(self, model: Recommender) -> NDArray[np.int32]:
        place = {item_id: column for column, item_id in enumerate(self.split.train.item_ids)}
        now = np.fromiter((place.get(item_id, -1) for item_id in model.item_ids), dtype=np.int32, count=len(model.item_ids))
        then = np.full(len(place), -1, dtype=np.int32)
        then[now[now >= 0]] = np.flatnonzero(now >= 0)
        histories = self.split.histories()
        rows, columns = np.repeat(np.arange(len(histories)), np.diff(histories.offsets)), then[histories.items]
        kept = columns >= 0
        shape = (len(histories), len(now))
        known = Histories.from_events(rows[kept], columns[kept], histories.weights[kept], histories.times[kept], shape=shape)
        lists = np.full((len(histories), max(CUTOFFS)), -1, dtype=np.int32)
        for row, ranking in enumerate(model.recommend(known, count=max(CUTOFFS), exclude=now < 0)):
            lists[row, : len(ranking.items)] = now[ranking.items]
        return lists


def set_exam(
    interactions: Interactions, *, share: float, most: int = MAX_USERS, is_seen: bool = False, only_by_time: bool = False
) -> Exam | None:
    """An exam on the most recent `share` of the interactions, or where that asks few users and the last of each user ask more, on these.

    None if nobody with a past liked anything new in either.
    """
    recent = _recent(interactions, share, most)
    by_time_count = len(recent.test) if recent else 0
    if by_time_count < ENOUGH_USERS and not only_by_time:
        try:
            last = last_of_each(interactions, share=share, depth=MOST_OF_EACH, most=most)
        except CannotSplit:
            last = None
        if last is not None and len(last.test) > by_time_count:
            return Exam(last, share, is_seen, "last_of_each", by_time_count)
    return Exam(recent, share, is_seen, "time", by_time_count) if recent else None


def _recent(interactions: Interactions, share: float, most: int) -> Split | None:
    try:
        split = by_time(interactions, share=share)
    except CannotSplit:
        return None
    has_past = np.bincount(split.train.users, minlength=len(interactions.user_ids))[split.test.rows] > 0
    asked = np.flatnonzero(has_past)
    if len(asked) > most:
        asked = np.sort(np.random.default_rng(0).choice(asked, most, replace=False))
    return Split(split.train, split.test.take(asked)) if len(asked) else None


def report(exam: Exam, ours: Measured, rivals: list[Rival]) -> dict[str, Any]:
    """What was measured, for the registry: every metric with its 95 % interval."""
    baselines = {rival.name: {"version": rival.version, "values": _values(rival.measured)} for rival in rivals}
    return {"slice": exam.describe(), "values": _values(ours), "baselines": baselines}


def judge(exam: Exam, ours: Measured, rivals: list[Rival], *, min_users: int) -> dict[str, Any]:
    """The verdict, its reason, and the difference to each rival with its interval.

    Refused is what is worse than a rival by more than chance explains: the whole interval of the difference lies below zero.
    """
    found: dict[str, Interval] = {
        rival.name: differences({METRIC: ours.values[METRIC]}, {METRIC: rival.measured.values[METRIC]})[METRIC] for rival in rivals
    }
    against = {rival.name: {"version": rival.version, **_told(found[rival.name])} for rival in rivals}
    verdict, reason = _decide(exam, ours, rivals, found, min_users=min_users)
    return {"verdict": verdict, "reason": reason, "metric": METRIC, "user_count": exam.user_count, "against": against}


def passed_over(passed: Sequence[tuple[str, Measured]]) -> dict[int, str]:
    """Which of the models that passed the same exam, in the order they were asked for, another one is preferred to, and why.

    The first is preferred until one comes that is better by more than chance explains.
    """
    best = 0
    reasons: dict[int, str] = {}
    for place, (name, measured) in enumerate(passed[1:], start=1):
        ours, theirs = ({METRIC: one.values[METRIC]} for one in (measured, passed[best][1]))
        difference = differences(ours, theirs)[METRIC]
        if difference.is_above_zero:
            mine, before = (np.nanmean(one[METRIC]) for one in (ours, theirs))
            better = f"{name}, trained with it, is better: NDCG@10 {mine:.4f} against {before:.4f}"
            reason = f"{better}, 95 % interval of the difference {difference.low:.4f} to {difference.high:.4f}"
            reasons |= dict.fromkeys((earlier for earlier in range(place) if earlier not in reasons), reason)
            best = place
    return reasons


def unjudged(reason: str) -> dict[str, Any]:
    """The verdict where there is nothing to judge by."""
    return {"verdict": "too_little_data", "reason": f"too little data to judge: {reason}", "metric": METRIC, "user_count": 0, "against": {}}


def _decide(exam: Exam, ours: Measured, rivals: list[Rival], found: Mapping[str, Interval], *, min_users: int) -> tuple[Verdict, str]:
    if exam.user_count < min_users:
        return _decide_small(exam, ours, rivals, min_users)
    for rival in rivals:
        difference = found[rival.name]
        if difference.is_below_zero:
            mine, theirs = (np.nanmean(one.values[METRIC]) for one in (ours, rival.measured))
            return "refused", (
                f"worse than {rival.title} on {exam.where} ({exam.user_count:,} users): NDCG@10 {mine:.4f} against {theirs:.4f}, "
                f"95 % interval of the difference {difference.low:.4f} to {difference.high:.4f}"
            )
    names = " and ".join(rival.title for rival in rivals)
    return (
        "passed",
        f"not worse than {names} on {exam.where} ({exam.user_count:,} users)" if rivals else "there is nothing to hold it against",
    )


def _decide_small(exam: Exam, ours: Measured, rivals: list[Rival], min_users: int) -> tuple[Verdict, str]:
    little = f"{exam.user_count:,} users with a past liked something new, {min_users:,} are needed (GATE_MIN_USERS)"
    popular_hits = max((int(rival.measured.values["hr@10"].sum()) for rival in rivals if rival.name == "popular"), default=0)
    if popular_hits >= MIN_POPULAR_HITS and not ours.values["hr@10"].any():
        return (
            "refused",
            f"worse than nothing: it finds nothing for anybody, popularity does for {popular_hits:,} of {exam.user_count:,} users",
        )
    return "too_little_data", f"too little data to judge: {little}"


def _values(measured: Measured) -> dict[str, dict[str, float | None]]:
    bounded = {name: _told(found) for name, found in intervals(measured.values).items()}
    return {**bounded, **{name: {"value": value, "low": None, "high": None} for name, value in measured.coverage.items()}}


def _told(interval: Interval) -> dict[str, float | None]:
    # JSON has no NaN.
    numbers = {"value": interval.mean, "low": interval.low, "high": interval.high}
    return {name: None if math.isnan(number) else round(number, 6) for name, number in numbers.items()}
