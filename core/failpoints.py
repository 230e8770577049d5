"""Named points in the life of a task; the fault suite visits them to end or freeze a process there, the product never does."""

from collections.abc import Callable
from typing import Final, Literal

Point = Literal["received", "claimed", "computed", "committed", "before_ring"]

visitors: Final[list[Callable[[Point], None]]] = []
"""Empty, unless a process of the fault suite has put something in: there is no setting and no code here that does."""


def reach(point: Point) -> None:
    """Say that the process is at this point."""
    for visit in visitors:
        visit(point)
