"""Work in two threads, for arithmetic that lets go of the interpreter: two at most, because a small machine has two cores."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

First = TypeVar("First")
Second = TypeVar("Second")


def both(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """What two pieces of work give, done at the same time. What either raises is raised when both have ended."""
    with ThreadPoolExecutor(1) as other:
        later = other.submit(second)
        return first(), later.result()


def in_halves(work: Callable[[slice], object], count: int) -> None:
    """Have `work` done on each half of `count` rows, at the same time. It must not write outside of its own."""
    middle = count // 2
    both(lambda: work(slice(0, middle)), lambda: work(slice(middle, count)))
