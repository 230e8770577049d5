"""What is asked to be trained: recommenders from their names and parameters, and whether they fit into the memory there is."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ml_worker.choice.choose import BUDGET_SECONDS, Choice, choose
from ml_worker.gate import Kind
from ml_worker.recommenders.base import Progress, Recommender
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.lessons import Task
from ml_worker.recommenders.registry import InvalidConfig, untrained

PROCESS_BYTES: Final = 200 << 20
"""What a child process takes before it trains anything: the libraries."""
EVENT_BYTES: Final = 60
"""What an interaction takes while it is read and as arrays."""
MEGABYTE: Final = 1 << 20

DEFAULT: Final = "default"
"""The name of whatever is best for the data."""


class InvalidParameters(Exception):
    """Hyperparameters that an algorithm does not have or take; the message says which."""

    code = "invalid_parameters"


class TooLarge(Exception):
    """The training would need more memory than there is."""


@dataclass(frozen=True, slots=True)
class Chooser:
    """Stands for `default` among the recommenders: what to train is found by trying, within a time."""

    budget_seconds: float
    name: str = DEFAULT

    def choose(self, interactions: Interactions, kind: Kind, progress: Progress) -> Choice:
        """The best model for these interactions by what the gate will ask, or by any part of them where time says nothing."""
        protocol: Task = "future" if kind == "time" else "next"
        choice = choose(interactions, protocol=protocol, budget_seconds=self.budget_seconds, progress=progress)
        if choice.report["candidates"]:
            return choice
        return choose(interactions, protocol="random", budget_seconds=self.budget_seconds, progress=progress)


def recipes(
    algorithms: Sequence[str], parameters: Mapping[str, Mapping[str, Any]], *, budget_seconds: float = BUDGET_SECONDS
) -> list[Recommender | Chooser]:
    """An unfitted recommender for each name, or a chooser for `default`. Raises `UnknownAlgorithm` or `InvalidParameters`."""
    if DEFAULT in parameters:
        raise InvalidParameters(
            f"parameters.{DEFAULT}: the parameters of {DEFAULT} are chosen by trying; name an algorithm to give its own"
        )
    if unused := sorted(parameters.keys() - set(algorithms)):
        raise InvalidParameters(f"there are parameters for {', '.join(unused)}, which are not among the algorithms to be trained")
    return [Chooser(budget_seconds) if name == DEFAULT else recipe(name, parameters.get(name, {})) for name in algorithms]


def recipe(name: str, parameters: Mapping[str, Any]) -> Recommender:
    """An unfitted recommender. Raises `UnknownAlgorithm` or `InvalidParameters`."""
    try:
        return untrained(name, parameters)
    except InvalidConfig as error:
        raise InvalidParameters(f"parameters.{error}") from error


def check_memory(asked: Sequence[Recommender | Chooser], interactions: Interactions, *, limit_mb: int | None) -> None:
    """Raise `TooLarge` if the hungriest of the models would not fit into the limit, or without one into this machine."""
    if not (models := [model for model in asked if isinstance(model, Recommender)]):
        return
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
