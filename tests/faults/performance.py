"""One scenario from an empty stage to its record."""

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tests.faults.invariants import Verdict
from tests.faults.plays import Size
from tests.faults.scenarios import Scenario
from tests.faults.stage import staged
from tests.rigs.postgres import KillablePostgres
from tests.rigs.rabbitmq import PrivateRabbitMQ


@dataclass(frozen=True)
class Record:
    """What came of a scenario."""

    scenario: Scenario
    verdict: Verdict
    counts: dict[str, int]
    missed: list[str]
    seconds: float

    @property
    def is_as_it_must(self) -> bool:
        """A scenario leaves nothing wrong; the control group applies something twice or loses it."""
        if self.scenario.must_fail:
            return bool(self.verdict.applied_twice or self.verdict.lost)
        return self.verdict.is_clean and not self.missed

    @property
    def was_spared(self) -> bool:
        """Whether chance kept away what the scenario is about, so that it says nothing: no fault struck, no control group stumbled."""
        return not self.is_as_it_must and (self.scenario.must_fail or (self.verdict.is_clean and bool(self.missed)))

    def complaints(self) -> list[str]:
        """What is wrong, in sentences."""
        verdict = self.verdict
        if self.scenario.must_fail:
            return ["nothing was lost and nothing applied twice though the protection was taken out"]
        return [*verdict.lost, *verdict.applied_twice, *verdict.illegal, *verdict.other, *self.missed]

    def line(self) -> str:
        """For people, in one line."""
        states = " ".join(f"{count:,} {state}" for state, count in self.verdict.states.items())
        notable = ", ".join(f"{name} {count:,}" for name, count in sorted(self.counts.items()) if " at " not in name)
        word = "failed as it must" if self.scenario.must_fail and self.is_as_it_must else "ok" if self.is_as_it_must else "NOT OK"
        return (
            f"{self.scenario.name:30} {word:18} {self.seconds:6.1f} s  {sum(self.verdict.states.values()):,} tasks: {states}  ({notable})"
        )

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "scenario": self.scenario.name,
            "is_control": self.scenario.must_fail,
            "is_as_it_must": self.is_as_it_must,
            "seconds": round(self.seconds, 1),
            "counts": dict(self.counts),
            "missed": self.missed,
            **asdict(self.verdict),
        }


def perform(
    scenario: Scenario, size: Size, *, folder: Path, postgres: KillablePostgres, rabbitmq: PrivateRabbitMQ | None, seed: str
) -> Record:
    """Play it, end everything, and judge."""
    started = time.monotonic()
    scaled = replace(size, tasks=int(size.tasks * scenario.weight))
    with staged(folder, postgres=postgres, rabbitmq=rabbitmq, bell=scenario.bell, seed=f"{seed} {scenario.name}") as stage:
        dead_rings = scenario.play(stage, scaled)
        stage.leave()
        verdict = stage.judge(dead_rings=dead_rings or 0)
    return Record(scenario, verdict, dict(stage.counts), stage.missed, time.monotonic() - started)
