"""The outcome of a contest as plain numbers with intervals: what the table, the files and the plots are made of."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ml_worker.evaluation.intervals import Interval, differences, intervals
from ml_worker.evaluation.metrics import Values
from ml_worker.evaluation.splits import Split
from ml_worker.workbench.contenders import BASELINES, BEST_PART
from ml_worker.workbench.contest import COLD_EVENTS, Contest, Entry

CUT_METRICS: Final = ("ndcg@10", "recall@20", "hr@10")
_HISTORY_BINS: Final = ((0, 0), (1, 4), (5, 9), (10, 19), (20, 49), (50, 99), (100, 199), (200, None))


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(_Frozen):
    """A mean over users and its 95 % interval; None where there is no number."""

    mean: float | None
    low: float | None
    high: float | None


Numbers = dict[str, Number]


class Cut(_Frozen):
    """Some metrics on some of the questions."""

    name: str
    questions: int
    metrics: Numbers


class ModelResult(_Frozen):
    """One model: `metrics` are of users with a history, `against` are paired differences to a baseline on the same users."""

    name: str
    algorithm: str
    config: dict[str, Any]
    choosing_seconds: float
    training_seconds: float
    ranking_seconds: float
    metrics: Numbers
    coverage: dict[str, float]
    against: dict[str, Numbers]
    cuts: list[Cut]
    by_history: list[Cut]
    choice: dict[str, Any] | None


class Data(_Frozen):
    """What the models learnt from and were asked."""

    users: int
    items: int
    offered_items: int
    """How many of them may be in a list: all, unless the split asks about some alone."""
    interactions: int
    questions: int
    questions_without_history: int
    asked_users: int
    held_out: int


class Report(_Frozen):
    """Everything about one evaluation."""

    format: int = 1
    made_at: datetime
    source: str
    split: str
    notes: list[str]
    seed: int
    data: Data
    models: list[ModelResult]


def make_report(contest: Contest, entries: Sequence[Entry], *, source: str, split: str, notes: Sequence[str], seed: int) -> Report:
    """The report on models that were entered into this contest."""
    return Report(
        made_at=datetime.now(UTC).replace(microsecond=0),
        source=source,
        split=split,
        notes=list(notes),
        seed=seed,
        data=_data(contest.split, contest),
        models=[_result(contest, entry, entries, seed) for entry in entries],
    )


def _data(split: Split, contest: Contest) -> Data:
    return Data(
        users=len(np.unique(split.train.users)),
        items=len(split.train.item_ids),
        offered_items=len(split.train.item_ids) if split.among is None else int(np.count_nonzero(split.among)),
        interactions=len(split.train),
        questions=len(split.test),
        questions_without_history=int(np.count_nonzero(~contest.has_history)),
        asked_users=len(np.unique(split.test.rows)),
        held_out=int(split.test.sizes.sum()),
    )


def _result(contest: Contest, entry: Entry, entries: Sequence[Entry], seed: int) -> ModelResult:
    users = contest.split.test.rows[contest.has_history]
    ours = entry.measured.values
    theirs = {other.name: other.measured.values for other in entries if other.name in (*BASELINES, BEST_PART) and other is not entry}
    return ModelResult(
        name=entry.name,
        algorithm=entry.recommender.name,
        config=entry.recommender.config.model_dump(mode="json"),
        choosing_seconds=round(entry.seconds.choosing, 3),
        training_seconds=round(entry.seconds.training, 3),
        ranking_seconds=round(entry.seconds.ranking, 3),
        metrics=_numbers(intervals(ours, users=users, seed=seed)),
        coverage=dict(entry.measured.coverage),
        against={name: _numbers(differences(ours, values, users=users, seed=seed)) for name, values in theirs.items()},
        cuts=_cuts(contest, entry, seed),
        by_history=_by_history(contest, entry, seed),
        choice=None if entry.choice is None else dict(entry.choice),
    )


def _cuts(contest: Contest, entry: Entry, seed: int) -> list[Cut]:
    counts, rows = contest.history_counts, contest.split.test.rows
    groups = {
        "all users": np.ones(len(counts), dtype=np.bool_),
        "users without a history": counts == 0,
        f"users with 1 to {COLD_EVENTS - 1} events": (counts > 0) & (counts < COLD_EVENTS),
        f"users with {COLD_EVENTS} events or more": counts >= COLD_EVENTS,
    }
    cuts = [_cut(name, entry.values, rows, is_in, seed) for name, is_in in groups.items() if is_in.any()]
    if len(contest.cold):
        everything = np.ones(len(contest.cold), dtype=np.bool_)
        cuts.append(_cut(f"items with fewer than {COLD_EVENTS} events", entry.cold_items, contest.cold.rows, everything, seed))
    return cuts


def _by_history(contest: Contest, entry: Entry, seed: int) -> list[Cut]:
    cuts = []
    for least, most in _HISTORY_BINS:
        is_in = contest.history_counts >= least
        if most is not None:
            is_in &= contest.history_counts <= most
        name = f"{least}+" if most is None else str(least) if least == most else f"{least}–{most}"
        if is_in.any():
            cuts.append(_cut(name, entry.values, contest.split.test.rows, is_in, seed))
    return cuts


def _cut(name: str, values: Values, rows: NDArray[np.int64], is_in: NDArray[np.bool_], seed: int) -> Cut:
    chosen: Mapping[str, NDArray[np.float64]] = {metric: values[metric][is_in] for metric in CUT_METRICS if metric in values}
    return Cut(name=name, questions=int(np.count_nonzero(is_in)), metrics=_numbers(intervals(chosen, users=rows[is_in], seed=seed)))


def _numbers(found: Mapping[str, Interval]) -> Numbers:
    return {name: Number(mean=_finite(one.mean), low=_finite(one.low), high=_finite(one.high)) for name, one in found.items()}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
