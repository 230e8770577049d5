"""Megabytes of worker replicas on one host that serve the same model; pages that several share are divided by their number."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import psycopg

from benchmarks.drawn_interactions import draw
from benchmarks.frame import Case, Measure
from benchmarks.product import LARGE, load, publish
from benchmarks.servers import fresh_database
from ml_worker.recommenders.als import Als

MEGABYTE_KB = 1000
_PSS = re.compile(r"^Pss: +(\d+) kB$", re.MULTILINE)


class Replica:
    """A process of `benchmarks.replica`."""

    def __init__(self, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "benchmarks.replica"]
        self._process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._hear("ready")

    def tell(self, word: str) -> None:
        """Have it do this, and wait until it has."""
        assert self._process.stdin is not None
        print(word, file=self._process.stdin, flush=True)
        self._hear("done")

    def megabytes(self) -> float:
        """Its own pages and its part of those it shares (PSS)."""
        found = _PSS.search(Path(f"/proc/{self._process.pid}/smaps_rollup").read_text())
        assert found is not None
        return int(found[1]) / MEGABYTE_KB

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _hear(self, word: str) -> None:
        assert self._process.stdout is not None
        if (heard := self._process.stdout.readline().strip()) != word:
            raise RuntimeError(f"a replica said {heard!r}, not {word!r}")


def _total(replicas: Sequence[Replica]) -> float:
    return sum(replica.megabytes() for replica in replicas)


Ask = Callable[[dict[str, str], int], float]
"""Starts replicas and answers what the one of this number, 0 or 1, added to the memory of the host."""


def _of_model(environment: dict[str, str], number: int) -> float:
    """Both are there before either loads the model, so that nothing else is in the figure."""
    with ExitStack() as stack:
        replicas = []
        for _ in range(2):
            replicas.append(Replica(environment))
            stack.callback(replicas[-1].end)
        for replica in replicas[:number]:
            replica.tell("load")
        before = _total(replicas)
        replicas[number].tell("load")
        return _total(replicas) - before


def _of_worker(environment: dict[str, str], number: int) -> float:
    """The whole process after it has ranked a batch of users."""
    with ExitStack() as stack:
        replicas: list[Replica] = []
        before = 0.0
        for _ in range(number + 1):
            before = _total(replicas)
            replicas.append(Replica(environment))
            stack.callback(replicas[-1].end)
            replicas[-1].tell("load")
            replicas[-1].tell("rank")
        return _total(replicas) - before


def _case(ask: Ask) -> Callable[[bool], AbstractContextManager[tuple[Measure, Measure]]]:
    @contextmanager
    def prepare(quick: bool) -> Iterator[tuple[Measure, Measure]]:
        interactions = draw(**({"users": 2000, "items": 20_000, "events": 100_000} if quick else LARGE))
        with (
            fresh_database() as url,
            tempfile.TemporaryDirectory(prefix="marquee-bench-") as folder,
            psycopg.connect(url, autocommit=True) as connection,
        ):
            load(connection, interactions)
            publish(url, folder, interactions, Als(Als.Config(iterations=2)))
            environment = {**os.environ, "DATABASE_URL": url, "ARTIFACTS_URL": folder, "OPENBLAS_NUM_THREADS": "1"}
            yield lambda: ask(environment, 1), lambda: ask(environment, 0)

    return prepare


_SHAPE = f"{LARGE['users']:,} users × {LARGE['items']:,} items, ALS with 64 factors"

CASES = [
    Case("memory.model", "MB", f"what the live model takes in a second replica ÷ in the first; {_SHAPE}", _case(_of_model)),
    Case(
        "memory.worker",
        "MB",
        f"all that a second replica takes after ranking 256 users, catalogue and libraries too ÷ the first alone; {_SHAPE}",
        _case(_of_worker),
    ),
]
