"""Signs of life of a worker's slots, and what everything in the process is counted with."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from core.tracing import Tracing
from ml_worker.metrics import Metrics

Doing = Literal["waiting", "working"]


@dataclass(frozen=True, slots=True)
class Sign:
    """When a slot last showed that it lives, and what it did then."""

    at: float
    doing: Doing

    @property
    def age_seconds(self) -> float:
        """How long ago that was."""
        return time.monotonic() - self.at


class Vitals:
    """Written by slots, read by the health endpoint; a sign is replaced as a whole, so no lock is needed."""

    def __init__(self, kinds: Collection[str] = (), tracing: Tracing | None = None) -> None:
        self.metrics = Metrics(kinds)
        self.tracing = tracing or Tracing("marquee-worker", None)
        self._signs: dict[str, Sign] = {}

    def tick(self, slot: str, doing: Doing) -> None:
        """The slot lives."""
        self._signs[slot] = Sign(time.monotonic(), doing)

    def signs(self) -> dict[str, Sign]:
        """The last sign of each slot."""
        return dict(self._signs)
