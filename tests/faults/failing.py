"""What happens at the failpoints of a process, from a line such as `claimed=kill:0.05,computed=stop:@20`.

A number is the chance at each visit; with `@` it happens at every so manieth visit of the process.
"""

import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core import failpoints
from core.failpoints import Point


class FailedOnPurpose(Exception):
    """What the action `raise` does."""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)  # the nemesis lets it go on when its leases are long over


def _raise() -> None:
    raise FailedOnPurpose


ACTIONS: Final[dict[str, Callable[[], None]]] = {"kill": _kill, "stop": _stop, "raise": _raise}


@dataclass(frozen=True, slots=True)
class Fate:
    """An action at a point, by chance or at every so manieth visit."""

    point: str
    action: str
    chance: float
    every: int | None

    def strikes(self, *, visit_count: int, dice: random.Random) -> bool:
        """Whether it happens at this visit."""
        return visit_count % self.every == 0 if self.every else dice.random() < self.chance


def arm(spec: str, *, log: Path, seed: str) -> None:
    """Give this process its fates; each is told, before it strikes, in a line `ACTION POINT PID` of the log."""
    fates = [_read(entry) for entry in spec.split(",")]
    dice, visits = random.Random(seed), Counter[str]()

    def visit(point: Point) -> None:
        visits[point] += 1
        for fate in fates:
            if fate.point == point and fate.strikes(visit_count=visits[point], dice=dice):
                with log.open("a") as told:
                    told.write(f"{fate.action} {point} {os.getpid()}\n")
                ACTIONS[fate.action]()

    failpoints.visitors.append(visit)


def _read(entry: str) -> Fate:
    point, _, rest = entry.partition("=")
    action, _, how_often = rest.partition(":")
    if how_often.startswith("@"):
        return Fate(point, action, 0.0, int(how_often[1:]))
    return Fate(point, action, float(how_often), None)
