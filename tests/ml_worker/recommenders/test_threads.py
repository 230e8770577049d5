"""Work in two threads gives what both halves give, and fails as either does."""

import threading

import numpy as np
import pytest

from ml_worker.recommenders import threads


def test_both_run_at_the_same_time():
    barrier = threading.Barrier(2)  # broken after its timeout, unless two wait at it

    def meet(name: str) -> str:
        barrier.wait(timeout=10)
        return name

    assert threads.both(lambda: meet("first"), lambda: meet("second")) == ("first", "second")


@pytest.mark.parametrize("failing", ["first", "second"])
def test_what_one_raises_is_raised_when_the_other_has_ended(failing):
    done = []

    def work(name: str) -> None:
        if name == failing:
            raise ZeroDivisionError(name)
        done.append(name)

    with pytest.raises(ZeroDivisionError, match=failing):
        threads.both(lambda: work("first"), lambda: work("second"))
    assert len(done) == 1


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_halves_are_all_rows_once(count):
    visits = np.zeros(count, dtype=int)

    def visit(rows: slice) -> None:
        visits[rows] += 1

    threads.in_halves(visit, count)
    assert (visits == 1).all()
