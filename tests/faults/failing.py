"""What happens at the failpoints of a process, from a line such as `claimed=kill:0.05,computed=stop:0.02`."""

import os
import random
import signal
from collections.abc import Callable
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


def arm(spec: str, *, log: Path, seed: str) -> None:
    """Give every named point its chances in this process; what happens is first told in a line `ACTION POINT PID` of the log."""
    chances = [_read(entry) for entry in spec.split(",") if entry]
    dice = random.Random(seed)

    def visit(point: Point) -> None:
        for where, action, chance in chances:
            if where == point and dice.random() < chance:
                with log.open("a") as told:
                    told.write(f"{action} {point} {os.getpid()}\n")
                ACTIONS[action]()

    failpoints.visitors.append(visit)


def _read(entry: str) -> tuple[str, str, float]:
    where, _, fate = entry.partition("=")
    action, _, chance = fate.partition(":")
    return where, action, float(chance)
