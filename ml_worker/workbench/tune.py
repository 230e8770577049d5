"""`marquee tune`: looks for better parameters within a time, on a part of the training data that is held out for it."""

import json
import time
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from rich.console import Console

from ml_worker.evaluation.metrics import ACCURACY, CUTOFFS
from ml_worker.evaluation.splits import Protocol, Split, at_random, by_time, leave_last_out
from ml_worker.recommenders.base import Progress
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.registry import RECOMMENDERS, find_recommender
from ml_worker.workbench.asking import AskedWrongly, check_writable
from ml_worker.workbench.bars import drawn_stages
from ml_worker.workbench.given import Values, read_training, read_validation
from ml_worker.workbench.journal import Journal, Trial, fingerprint
from ml_worker.workbench.search import Search, fewer_questions
from ml_worker.workbench.source import PROTOCOLS, SplitName, divide, read_interactions
from ml_worker.workbench.spaces import space

VALIDATION_SHARE: Final = 0.1
METRICS: Final = tuple(f"{name}@{k}" for name in ACCURACY for k in CUTOFFS)


def tune(
    *,
    train: Annotated[Path | None, typer.Option(help="Events to learn from: user, item, value, timestamp; tab or comma.")] = None,
    valid: Annotated[Path | None, typer.Option(help="Events to judge by; without it a tenth of --train is held out.")] = None,
    data: Annotated[str | None, typer.Option(metavar="PATH_OR_URL", help="A MovieLens folder, archive or address instead.")] = None,
    split: Annotated[SplitName, typer.Option(help="The split of --data whose training part is used; its test stays unseen.")] = "time",
    algorithm: Annotated[list[str] | None, typer.Option(help="What to tune; repeatable. Default: all that can be.")] = None,
    budget: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Time for all algorithms together.")] = 600,
    metric: Annotated[str, typer.Option(help="What is to be high: ndcg, recall, capped_recall, hr, mrr, map at 10, 20 or 50.")] = "ndcg@10",
    protocol: Annotated[Protocol | None, typer.Option(help="How --train is divided. Default: future, without time stamps random.")] = None,
    values: Annotated[Values, typer.Option(help="Whether all positive lines of --train speak equally, or by their value.")] = "equal",
    journal: Annotated[Path | None, typer.Option(help="Keep every trial in this file and go on from what is in it.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of what is held out and what is tried.")] = 0,
) -> None:
    """Try parameters until the time is over: many on a quarter of the users, the best of them on all. The test is never looked at."""
    check_writable(journal)
    if metric not in METRICS:
        raise AskedWrongly(f"{metric!r} is not measured; known are {', '.join(METRICS)}")
    names = algorithm or [name for name, known in RECOMMENDERS.items() if space(known.Config)]
    for name in names:
        find_recommender(name)
    with drawn_stages() as stages:
        questions = _questions(train, valid, data, split=split, protocol=protocol, values=values, seed=seed, progress=stages("reading"))
        kept = Journal(journal, search=fingerprint(questions, metric=metric, seed=seed))
        end = time.monotonic() + budget
        searches = [Search(name, questions, metric, seed, kept) for name in dict.fromkeys(names)]
        for place, search in enumerate(searches):
            now = time.monotonic()
            search.run(until=now + max(0.0, end - now) / (len(searches) - place), progress=stages(f"tuning {search.algorithm}"))
    shown = Console(highlight=False, markup=False, soft_wrap=True)
    for search in searches:
        for line in _outcome(search):
            shown.print(line)


def _questions(
    train: Path | None,
    valid: Path | None,
    data: str | None,
    *,
    split: SplitName,
    protocol: Protocol | None,
    values: Values,
    seed: int,
    progress: Progress,
) -> Split:
    """The training data without what is held out for judging, and that."""
    if (train is None) == (data is None):
        raise AskedWrongly("give either --train FILE or --data PATH_OR_URL")
    if data is not None:
        if valid is not None:
            raise AskedWrongly("--valid goes with --train")
        learnt = divide(read_interactions(data, progress=progress), split, seed=seed).train
        return fewer_questions(_held_out(learnt, protocol or PROTOCOLS[split], seed), seed)
    assert train is not None
    progress(0.0, str(train))
    learnt = read_training(train, values=values)
    progress(1.0, f"{len(learnt):,} events")
    if valid is not None:
        return fewer_questions(Split(learnt, read_validation(valid, learnt)), seed)
    has_times = bool((learnt.times != learnt.times[0]).any())
    return fewer_questions(_held_out(learnt, protocol or ("future" if has_times else "random"), seed), seed)


def _held_out(interactions: Interactions, protocol: Protocol, seed: int) -> Split:
    if protocol == "next":
        return leave_last_out(interactions)
    if protocol == "future":
        return by_time(interactions, share=VALIDATION_SHARE)
    return at_random(interactions, share=VALIDATION_SHARE, seed=seed)


def _outcome(search: Search) -> list[str]:
    """The best parameters as options of `marquee evaluate`."""
    best = search.best()
    tried = [trial for trial in search.journal.trials if trial.algorithm == search.algorithm]
    if best is None:
        reason = next((trial.note for trial in tried if trial.note), "none was trained")
        return [f"{search.algorithm}: no configuration worked: {reason}"]
    preset = find_recommender(search.algorithm).Config().model_dump(mode="json")
    first = search.journal.find(search.algorithm, preset, 1.0)
    changed = {field: value for field, value in best.config.items() if value != preset[field]}
    options = " ".join(f"--set {search.algorithm}.{field}={json.dumps(value)}" for field, value in changed.items())
    lines = [f"{search.algorithm}: {search.metric} {_scored(best)} after {len(tried)} trials"]
    if not changed:
        return [*lines, "  the preset is the best that was tried"]
    return [*lines, *([f"  preset: {_scored(first)}"] if first else []), f"  {options}"]


def _scored(trial: Trial) -> str:
    if trial.score is None:
        return "failed"
    bounds = np.array([trial.low, trial.high], dtype=np.float64)
    if np.isnan(bounds).any():
        return f"{trial.score:.4f} (of a single user: no interval)"
    return f"{trial.score:.4f} [{bounds[0]:.4f}, {bounds[1]:.4f}]"
