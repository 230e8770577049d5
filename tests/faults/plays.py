"""What all plays are made of: how much is submitted, how a fault comes again and again, what must have happened."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.faults.stage import Stage


@dataclass(frozen=True)
class Size:
    """How much a scenario does: tasks, and how many of them a second so that the faults meet them."""

    tasks: int
    per_second: float


SHORT: Final = Size(tasks=300, per_second=150)
MEDIUM: Final = Size(tasks=2_000, per_second=200)
LONG: Final = Size(tasks=4_500, per_second=300)


def submit(stage: Stage, size: Size, **options: object) -> None:
    """Let clients submit, at a pace that the faults can meet."""
    stage.order(size.tasks, per_second=size.per_second, **options)


def must(stage: Stage, is_so: bool, otherwise: str) -> None:
    """Note what is wrong unless it is so."""
    if not is_so:
        stage.wrong.append(otherwise)


def should_happen(stage: Stage, has_happened: bool, otherwise: str) -> None:
    """Note that chance has spared the pipeline what the scenario is about: nothing is wrong, but nothing was tried either."""
    if not has_happened:
        stage.missed.append(otherwise)


def repeat_while_ordering(stage: Stage, fault: Callable[[], None], *, pause: tuple[float, float] = (0.5, 1.5)) -> None:
    """The fault once at least, and again and again until the clients are through."""
    stage.play(10, until=lambda: len(stage.acknowledged()) > 0)
    while True:
        stage.play(stage.dice.uniform(*pause))
        fault()
        if not stage.is_ordering:
            return
