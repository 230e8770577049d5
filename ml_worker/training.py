"""Trains what a task asks for: recommenders from their names and parameters, within the memory there is, with progress by stage."""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from pydantic import ValidationError

from ml_worker.recommenders.base import Recommender
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.registry import find_recommender
from ml_worker.registry import TrainedModel

READING_SHARE: Final = 0.1
"""Of the progress, what reading the interactions is taken for."""

PROCESS_BYTES: Final = 200 << 20
"""What a child process takes before it trains anything: the libraries."""
EVENT_BYTES: Final = 60
"""What an interaction takes while it is read and as arrays."""
MEGABYTE: Final = 1 << 20


class InvalidParameters(Exception):
    """Hyperparameters that an algorithm does not have or take; the message says which."""

    code = "invalid_parameters"


class TooLarge(Exception):
    """The training would need more memory than there is."""


class Report(Protocol):
    """Takes the share done (0 to 1) and a note; may raise to stop the training."""

    def __call__(self, done: float, note: str | None = None) -> None: ...


def recipes(algorithms: Sequence[str], parameters: Mapping[str, Mapping[str, Any]]) -> list[Recommender]:
    """An unfitted recommender for each name. Raises `UnknownAlgorithm` or `InvalidParameters`."""
    if unused := sorted(parameters.keys() - set(algorithms)):
        raise InvalidParameters(f"there are parameters for {', '.join(unused)}, which are not among the algorithms to be trained")
    return [recipe(name, parameters.get(name, {})) for name in algorithms]


def recipe(name: str, parameters: Mapping[str, Any]) -> Recommender:
    """An unfitted recommender. Raises `UnknownAlgorithm` or `InvalidParameters`."""
    algorithm = find_recommender(name)
    try:
        return algorithm(algorithm.Config.model_validate(dict(parameters)))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join((name, *(str(part) for part in first["loc"])))
        raise InvalidParameters(f"parameters.{place}: {first['msg']}") from error


def check_memory(models: Sequence[Recommender], interactions: Interactions, *, limit_mb: int | None) -> None:
    """Raise `TooLarge` if the hungriest of the models would not fit into the limit, or without one into this machine."""
    users, items, events = len(interactions.user_ids), len(interactions.item_ids), len(interactions)
    needs = {model: model.predicted_bytes(model.config, users=users, items=items, events=events) for model in models}
    hungriest = max(models, key=needs.__getitem__)
    needed = (needs[hungriest] + PROCESS_BYTES + EVENT_BYTES * events) // MEGABYTE
    limit, name = (limit_mb, "CHILD_MEMORY_MB allows") if limit_mb is not None else (_machine_megabytes(), "this machine has")
    if needed > limit:
        raise TooLarge(
            f"training {hungriest.name} on {events:,} interactions of {users:,} users and {items:,} items takes about {needed:,} MB "
            f"of memory, {name} {limit:,} MB: choose another algorithm or smaller parameters, or give it more"
        )


def _machine_megabytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MEGABYTE


def fit_all(
    models: Sequence[Recommender], interactions: Interactions, *, window: Mapping[str, Any], progress: Report
) -> list[TrainedModel]:
    """Fit one after the other. Raises what `Recommender.fit` raises."""
    return [
        _fit(model, interactions, window, stage(progress, f"training {model.name}", number, len(models)))
        for number, model in enumerate(models)
    ]


def _fit(model: Recommender, interactions: Interactions, window: Mapping[str, Any], progress: Report) -> TrainedModel:
    started = time.monotonic()
    model.fit(interactions, progress=progress)
    return TrainedModel(model, window, training_seconds=time.monotonic() - started)


def update(
    model: Recommender, interactions: Interactions, *, since: int, window: Mapping[str, Any], parent_id: int, progress: Report
) -> TrainedModel:
    """Bring a loaded model up to all of the interactions, of which those from `since` on are new. Raises what `Recommender.update` does."""
    started = time.monotonic()
    model.update(interactions, since=since, progress=stage(progress, f"updating {model.name}", 0, 1))
    return TrainedModel(model, window, training_seconds=time.monotonic() - started, scope="partial", parent_id=parent_id)


def stage(progress: Report, name: str, number: int, count: int) -> Report:
    """Map the share done of one of `count` stages into the share done of the task."""
    width = (1 - READING_SHARE) / count

    def report(done: float, note: str | None = None) -> None:
        progress(READING_SHARE + (number + done) * width, f"{name}: {note}" if note else name)

    return report
