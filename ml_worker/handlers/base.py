"""What a task handler is given, what it gives back, and how it is declared."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from core.claims import Claimed
from core.database import Pool
from core.lists import ComputedList
from core.messages import Payload
from core.statement import Statement
from core.topology import QueueName
from ml_worker.ranking import NoModel, Ranker
from ml_worker.registry import Registry
from ml_worker.settings import WorkerSettings

P = TypeVar("P", bound=Payload)


class PermanentFailure(Exception):
    """The task can never succeed: `code` for programs, `message` for people, saying what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)  # both, because it crosses the pipe of a child process
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Job(Generic[P]):
    """A claimed task with its parsed payload."""

    task: Claimed
    payload: P


@dataclass(frozen=True, slots=True)
class Product:
    """What one task yields: its result and what shall become true together with it."""

    result: dict[str, Any]
    lists: tuple[ComputedList, ...] = ()
    effects: tuple[Statement[Any], ...] = ()


Answer = Product | PermanentFailure


def no_model(error: NoModel) -> PermanentFailure:
    """What a task gets that needs a model when there is none."""
    return PermanentFailure(error.code, str(error))


class ReportProgress(Protocol):
    """Takes the share done (0 to 1) and a note; raises if the work must stop, so call it often."""

    def __call__(self, done: float, note: str | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler may use. It reads through `pool` and never commits: its effects are its answer's."""

    pool: Pool
    registry: Registry
    ranker: Ranker
    settings: WorkerSettings
    progress: ReportProgress

    def lists_of(self, user_ids: Sequence[str]) -> dict[str, ComputedList]:
        """The lists of many users, by user id, with a report of progress after each batch of them. Raises `NoModel`."""

        def report(done: int) -> None:
            self.progress(done / len(user_ids), f"{done:,} of {len(user_ids):,} users")

        return self.ranker.compute_many(user_ids, report=report)


def each(make: Callable[[P, Context], Product]) -> Callable[[Sequence[Job[P]], Context], list[Answer]]:
    """What runs a batch payload by payload; without a model all of it fails by name."""

    def run(jobs: Sequence[Job[P]], context: Context) -> list[Answer]:
        try:
            return [make(job.payload, context) for job in jobs]
        except NoModel as error:
            return [no_model(error) for _ in jobs]

    return run


@dataclass(frozen=True, slots=True)
class Retry:
    """Back-off min(cap, base · 2^attempt) with full jitter, in seconds."""

    base: float = 0.5
    cap: float = 60.0

    def delay(self, attempt: int) -> float:
        """Seconds to wait after this attempt (counted from 1) failed."""
        return random.uniform(0, min(self.cap, self.base * 2**attempt))  # noqa: S311 (spreads retries, protects nothing)


@dataclass(frozen=True, slots=True)
class Handler(Generic[P]):
    """One task kind: `run` answers every job of a batch, in order.

    Work that is long or hungry for memory runs in a child process (`ml_worker.children`).
    """

    payload: type[P]
    run: Callable[[Sequence[Job[P]], Context], Sequence[Answer]]
    max_batch: int = 1
    runs_in_child: bool = False
    retry: Retry = field(default_factory=Retry)


def largest_batch(handlers: Mapping[str, Handler[Any]], queue: QueueName) -> int:
    """How many tasks of a queue are worth claiming at once."""
    return max((handler.max_batch for handler in handlers.values() if handler.payload.queue == queue), default=1)
