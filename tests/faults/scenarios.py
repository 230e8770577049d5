"""The table of contents of the census: which play runs under which bell, and which must fail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.faults import control_plays, ring_plays, server_plays, worker_plays
from tests.faults.plays import Size
from tests.faults.stage import Bell, Stage


@dataclass(frozen=True)
class Scenario:
    """`play` leaves the stage drained and returns how many dead rings belong there."""

    name: str
    play: Callable[[Stage, Size], int | None]
    bell: Bell = "broker"
    weight: float = 1.0
    """Tasks in relation to the others."""
    must_fail: bool = False
    """Whether it belongs to the control group."""

    @property
    def slug(self) -> str:
        """The name as one word."""
        return self.name.replace(" ", "-")


SCENARIOS: Final = (
    Scenario("kill workers on the database bell", worker_plays.kill_workers, bell="database", weight=1.5),
    Scenario("freeze workers on the database bell", worker_plays.freeze_workers, bell="database"),
    Scenario("kill workers", worker_plays.kill_workers, weight=1.5),
    Scenario("fail workers", worker_plays.fail_workers),
    Scenario("freeze workers", worker_plays.freeze_workers),
    Scenario("kill broker", server_plays.kill_broker),
    Scenario("wipe broker", server_plays.wipe_broker),
    Scenario("no broker", server_plays.no_broker, bell="absent broker"),
    Scenario("freeze broker", server_plays.freeze_broker),
    Scenario("starve broker", server_plays.starve_broker),
    Scenario("kill database", server_plays.kill_database),
    Scenario("kill database on the database bell", server_plays.kill_database, bell="database"),
    Scenario("kill apps", server_plays.kill_apps),
    Scenario("shuffle rings", ring_plays.shuffle_rings),
    Scenario("poison rings", ring_plays.poison_rings),
    Scenario("deadly tasks", worker_plays.deadly_tasks),
    Scenario("roll workers", worker_plays.roll_workers),
    Scenario("hurry workers", worker_plays.hurry_workers),
    Scenario("backlog", worker_plays.backlog),
    Scenario("everything", server_plays.everything, weight=2),
    Scenario("control without claim", control_plays.without_claim, must_fail=True),
    Scenario("control without fence", control_plays.without_fence, must_fail=True),
)
