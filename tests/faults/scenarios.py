"""The scenarios: who works, what the nemesis does meanwhile, and what must have happened besides the invariants."""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from core import rings
from tests.faults import control, entries
from tests.faults.stage import Bell, Stage

MEGABYTE: Final = 1 << 20
KILLS: Final = "received=kill:0.03,claimed=kill:0.06,computed=kill:0.06,committed=kill:0.06"


@dataclass(frozen=True)
class Size:
    """How much a scenario does: tasks, and how many of them a second so that the faults meet them."""

    tasks: int
    per_second: float


SHORT: Final = Size(tasks=300, per_second=150)
MEDIUM: Final = Size(tasks=2_000, per_second=200)
LONG: Final = Size(tasks=4_500, per_second=300)
BACKLOG: Final = 10_000


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


def _submit(stage: Stage, size: Size, **options: object) -> None:
    stage.order(size.tasks, per_second=size.per_second, **options)


def _must(stage: Stage, is_so: bool, otherwise: str) -> None:
    if not is_so:
        stage.wrong.append(otherwise)


def _repeat_while_ordering(stage: Stage, fault: Callable[[], None], *, pause: tuple[float, float] = (0.5, 1.5)) -> None:
    """The fault once at least, and again and again until the clients are through."""
    stage.play(10, until=lambda: len(stage.acknowledged()) > 0)
    while True:
        stage.play(stage.dice.uniform(*pause))
        fault()
        if not stage.is_ordering:
            return


def kill_workers(stage: Stage, size: Size) -> None:
    """Workers die by kill −9 on receiving, after the claim, after the work, and after the commit."""
    stage.start_apps()
    stage.start_workers(3, failpoints=KILLS)
    _submit(stage, size)
    stage.play(600, until=lambda: not stage.is_ordering)
    stage.play(600, until=lambda: all(stage.counts[f"kill at {point}"] for point in ("received", "claimed", "computed", "committed")))
    stage.drain()


def fail_workers(stage: Stage, size: Size) -> None:
    """Workers meet an unexpected exception at each of the points, which may cost an attempt and never a worker."""
    stage.start_apps()
    stage.start_workers(2, failpoints="received=raise:0.05,claimed=raise:0.02,computed=raise:0.05,committed=raise:0.05")
    _submit(stage, size)
    stage.play(600, until=lambda: not stage.is_ordering)
    _must(stage, stage.play(60, until=stage.has_nothing_open), "work came to a standstill though no worker ended")
    stage.drain()


def freeze_workers(stage: Stage, size: Size) -> None:
    """Workers freeze past their leases and go on: whoever took their tasks over is believed, and they are not."""
    stage.start_apps()
    every = _seldom(stage)
    stage.start_workers(2, failpoints=f"claimed=stop:@{every},computed=stop:@{every + 2},committed=stop:@{every + 5}")
    stage.start_workers(1)  # which takes over
    _submit(stage, size)
    stage.play(600, until=lambda: not stage.is_ordering)
    stage.play(60, until=lambda: not stage.is_anyone_frozen)
    stage.play(1)
    stage.drain()
    _must(stage, stage.counts["frozen"] > 0, "no worker was frozen")
    _must(stage, "leases lost before completion" in (stage.folder / "work.log").read_text(), "no frozen worker was fenced out")


def _seldom(stage: Stage) -> int:
    """Between two freezes of a worker: batches come quickly where rings come one by one, and slowly where it looks for work itself."""
    return 9 if stage.bell == "database" else 30


def kill_broker(stage: Stage, size: Size) -> None:
    """The broker dies and comes back with its data."""
    _break_broker(stage, size, stage.node.kill)


def wipe_broker(stage: Stage, size: Size) -> None:
    """The broker dies and comes back with nothing, not even its queues."""
    _break_broker(stage, size, stage.node.wipe)


def _break_broker(stage: Stage, size: Size, fault: Callable[[], None]) -> None:
    stage.start_apps()
    stage.start_workers(2, failpoints="claimed=kill:0.01")
    _submit(stage, size)

    def outage() -> None:
        fault()
        stage.counts["broker outages"] += 1
        stage.play(stage.dice.uniform(0.5, 2.0))
        stage.node.start()

    _repeat_while_ordering(stage, outage, pause=(1.0, 3.0))
    stage.drain()


def no_broker(stage: Stage, size: Size) -> None:
    """Nobody ever answers at the broker's address."""
    kill_workers(stage, size)


def freeze_broker(stage: Stage, size: Size) -> None:
    """The broker answers nothing though its connections stand: meanwhile tasks are done and workers end in peace all the same."""
    stage.start_apps()
    workers = stage.start_workers()
    _submit(stage, size)

    def frost() -> None:
        stage.node.freeze()
        stage.counts["broker outages"] += 1
        before = len(stage.query("SELECT 1 FROM witness"))
        stage.play(stage.dice.uniform(2.0, 4.0))
        if stage.is_ordering:
            _must(stage, len(stage.query("SELECT 1 FROM witness")) > before, "nothing was done while the broker was frozen")
        stage.end(workers.pop(0))
        workers.extend(stage.start_workers(1))
        stage.node.thaw()

    _repeat_while_ordering(stage, frost)
    stage.drain()


def starve_broker(stage: Stage, size: Size) -> None:
    """The broker is short of memory and takes no rings."""
    stage.start_apps()
    stage.start_workers()
    _submit(stage, size)

    def alarm() -> None:
        stage.node.control("set_vm_memory_high_watermark", "0")
        stage.counts["broker outages"] += 1
        stage.play(stage.dice.uniform(1.0, 2.0))
        stage.node.control("set_vm_memory_high_watermark", "0.6")

    _repeat_while_ordering(stage, alarm)
    stage.drain()


def kill_database(stage: Stage, size: Size) -> None:
    """PostgreSQL dies as a whole, or one of its sessions does and takes all others along."""
    stage.start_apps()
    stage.start_workers(failpoints="claimed=kill:0.01")
    _submit(stage, size)

    def outage() -> None:
        stage.counts["database outages"] += 1
        if stage.counts["database outages"] % 2:
            stage.postgres.kill()
            stage.play(stage.dice.uniform(0.0, 1.0))
            stage.postgres.restart()
        else:
            stage.postgres.crash_session(stage.url)

    _repeat_while_ordering(stage, outage, pause=(1.5, 3.0))
    stage.play(1)
    stage.drain()


def kill_apps(stage: Stage, size: Size) -> None:
    """The API dies between the commit and the ring, often before the client is told."""
    stage.start_apps(2, failpoints="before_ring=kill:0.01")
    apps = list(stage.actors)
    stage.start_workers()
    _submit(stage, size)
    _repeat_while_ordering(stage, lambda: stage.kill(stage.dice.choice(apps)))
    stage.drain()
    _must(stage, stage.counts["kill at before_ring"] > 0, "no copy of the API was killed before it rang")


def shuffle_rings(stage: Stage, size: Size) -> None:
    """Rings come twice, late, out of order, and for tasks that ended or never were."""
    stage.start_apps()
    stage.start_workers(3, failpoints="committed=kill:0.01")
    _submit(stage, size)

    def mischief() -> None:
        known = list(stage.acknowledged().values())
        again = [stage.dice.choice(known) for _ in range(100)] if known else []
        bodies = [rings.encode(task_id) for task_id in again + again[:50] + [uuid.UUID(int=stage.dice.getrandbits(128)) for _ in range(10)]]
        stage.dice.shuffle(bodies)
        stage.broker.publish(bodies)
        stage.counts["rings of the nemesis"] += len(bodies)

    _repeat_while_ordering(stage, mischief, pause=(0.1, 0.3))
    stage.drain()


def poison_rings(stage: Stage, size: Size) -> int:
    """Messages that are no rings end in the dead queue, exactly these, and disturb nobody."""
    poison = [
        b"{",
        b"",
        b"[]",
        b"\xff\xfe\x00",
        b'{"v":2,"id":"%s"}' % str(uuid.uuid4()).encode(),
        b'{"v":1,"id":"nobody"}',
        b'{"v":1,"id":null}',
        b'{"v":1}',
        b"x" * (2 * MEGABYTE),
        b'{"v":1,"id":"%s","pad":"%s"}' % (str(uuid.uuid4()).encode(), b"x" * (2 * MEGABYTE)),
    ]
    stage.start_apps()
    workers = stage.start_workers(WORKER_QUEUES="interactive,batch")
    _submit(stage, size)
    stage.play(10, until=lambda: len(stage.acknowledged()) > 0)
    astray = [rings.encode(task_id) for task_id in list(stage.acknowledged().values())[:3]]
    started = [worker.process.pid for worker in workers]
    for body in stage.dice.sample(poison, k=len(poison)):
        stage.broker.publish([body])
        stage.play(0.1)
    stage.broker.publish(astray, queue="batch")
    stage.play(600, until=lambda: not stage.is_ordering)
    stage.drain()
    _must(stage, [worker.process.pid for worker in workers] == started, "a poisonous ring ended a worker")
    found = sorted(stage.broker.take_dead())
    _must(stage, found == sorted(poison + astray), f"other messages are dead than those that should be: {[body[:60] for body in found]}")
    return len(poison) + len(astray)


def deadly_tasks(stage: Stage, size: Size) -> None:
    """A task that kills its worker is `dead` after its attempts, was tried alone after the first, and its neighbours finish."""
    stage.start_apps()
    stage.order(size.tasks // 2, mix=(("plain", 0.98), ("deadly", 0.02)), cancelled=0, impatient=0)
    stage.play(60, until=lambda: not stage.is_ordering)
    stage.start_workers()
    stage.drain()
    rows = stage.query(
        """SELECT state, tasks.attempt, error ->> 'code', array_agg(batch_size ORDER BY runs.attempt) FROM tasks JOIN runs ON task_id = id
           WHERE coalesce_key = 'deadly' GROUP BY id"""
    )
    _must(stage, len(rows) > 0, "there was no deadly task")
    for state, attempt, code, sizes in rows:
        _must(stage, (state, attempt, code) == ("dead", 3, "lease_expired"), f"a deadly task is {state} ({code}) after {attempt} attempts")
        _must(stage, all(batch_size == 1 for batch_size in sizes[1:]), f"a deadly task was retried in company: batches of {sizes}")
    others = stage.query("SELECT count(*) FROM tasks WHERE coalesce_key <> 'deadly' AND state <> 'succeeded'")
    _must(stage, others == [(0,)], f"{others[0][0]} neighbours of deadly tasks did not finish")


def roll_workers(stage: Stage, size: Size) -> None:
    """Workers are replaced one after the other by SIGTERM; no attempt is spent and each exits with 0."""
    stage.start_apps()
    workers = stage.start_workers(3)
    _submit(stage, size, mix=(("plain", 0.9), ("slow", 0.1)), cancelled=0, impatient=0)

    def replace() -> None:
        stage.end(workers.pop(0))
        workers.extend(stage.start_workers(1))

    _repeat_while_ordering(stage, replace, pause=(0.1, 0.5))
    stage.drain()
    spent = stage.query("SELECT count(*) FROM tasks WHERE (state, attempt) <> ('succeeded', 1)")
    _must(stage, spent == [(0,)], f"{spent[0][0]} tasks did not succeed at their first attempt though workers ended in peace")


def hurry_workers(stage: Stage, size: Size) -> None:
    """A second SIGTERM hands long work back at once, the attempt refunded, and it is done by others."""
    stage.start_apps()
    workers = stage.start_workers(2)
    stage.order(2, mix=(("long", 1),), cancelled=0, impatient=0, repeated=0)
    stage.play(10, until=lambda: stage.query("SELECT count(*) FROM tasks WHERE state = 'running'") != [(0,)])
    stage.play(0.5)
    for worker in workers:
        before = time.monotonic()
        stage.end(worker, signals=2)
        _must(stage, time.monotonic() - before < 5, "a worker was not through 5 s after its second SIGTERM")
    found = stage.query("SELECT state, attempt FROM tasks")
    _must(stage, all(row == ("queued", 0) for row in found), f"tasks were not handed back with their attempts: {found}")
    stage.start_workers(2)
    stage.drain()


def backlog(stage: Stage, size: Size) -> None:
    """A backlog of waiting work is done by one worker and then by four; how much faster is told and not judged here."""
    stage.start_apps()
    stage.order(max(size.tasks, BACKLOG if size == LONG else 0), mix=(("slow", 1),), threads=16, cancelled=0, impatient=0)
    stage.play(600, until=lambda: not stage.is_ordering)
    rates = []
    for more in (1, 3):
        before = _done_count(stage)
        stage.start_workers(more)
        stage.play(10, until=lambda before=before: _done_count(stage) > before)
        stage.play(1)  # until they all are up
        before, since = _done_count(stage), time.monotonic()
        stage.play(3)
        rates.append((_done_count(stage) - before) / (time.monotonic() - since))
    stage.drain()
    stage.counts["tasks/s with 1 worker"], stage.counts["tasks/s with 4 workers"] = (round(rate) for rate in rates)


def _done_count(stage: Stage) -> int:
    return int(stage.query("SELECT count(*) FROM witness")[0][0])


def everything(stage: Stage, size: Size) -> None:
    """All of it at once, in random order."""
    stage.start_apps(2, failpoints="before_ring=kill:0.003")
    stage.start_workers(3, failpoints=KILLS + ",claimed=stop:0.01,computed=stop:0.01,computed=raise:0.02")
    _submit(stage, size)
    faults: Sequence[Callable[[], None]] = (
        lambda: (stage.node.kill(), stage.play(1.0), stage.node.start()),
        lambda: (stage.node.wipe(), stage.play(0.5), stage.node.start()),
        lambda: (stage.node.freeze(), stage.play(2.0), stage.node.thaw()),
        lambda: (stage.postgres.kill(), stage.play(0.5), stage.postgres.restart()),
        lambda: stage.postgres.crash_session(stage.url),
        lambda: stage.kill(stage.dice.choice(stage.actors)),
        lambda: stage.freeze(stage.dice.choice(stage.actors)),
    )

    def fault() -> None:
        stage.counts["faults"] += 1
        stage.dice.choice(faults)()

    _repeat_while_ordering(stage, fault)
    stage.play(1)
    stage.drain()


def without_claim(stage: Stage, size: Size) -> None:
    """Control group: rings are taken for tasks, and nobody asks who else is at it."""
    with stage.connect() as connection:
        control.open_the_table(connection)
    stage.start_apps()
    stage.start_workers(2, entry=entries.work_without_claim)
    stage.order(size.tasks // 2, mix=(("plain", 1),), cancelled=0, impatient=0)
    stage.play(60, until=lambda: not stage.is_ordering)
    if stage.bell == "broker":
        stage.broker.publish([rings.encode(task_id) for task_id in stage.acknowledged().values()])
    stage.drain()


def without_fence(stage: Stage, size: Size) -> None:
    """Control group: whoever wakes up late is believed."""
    stage.start_apps()
    stage.start_workers(2, entry=entries.work_without_fence, failpoints=f"computed=stop:@{_seldom(stage)}")
    stage.start_workers(1, entry=entries.work_without_fence)  # which takes over
    _submit(stage, size)
    stage.play(600, until=lambda: not stage.is_ordering)
    stage.play(60, until=lambda: not stage.is_anyone_frozen)
    stage.play(1)
    stage.drain()


SCENARIOS: Final = (
    Scenario("kill workers on the database bell", kill_workers, bell="database", weight=3),
    Scenario("freeze workers on the database bell", freeze_workers, bell="database"),
    Scenario("kill workers", kill_workers, weight=3),
    Scenario("fail workers", fail_workers),
    Scenario("freeze workers", freeze_workers),
    Scenario("kill broker", kill_broker),
    Scenario("wipe broker", wipe_broker),
    Scenario("no broker", no_broker, bell="absent broker"),
    Scenario("freeze broker", freeze_broker),
    Scenario("starve broker", starve_broker),
    Scenario("kill database", kill_database),
    Scenario("kill database on the database bell", kill_database, bell="database"),
    Scenario("kill apps", kill_apps),
    Scenario("shuffle rings", shuffle_rings),
    Scenario("poison rings", poison_rings),
    Scenario("deadly tasks", deadly_tasks),
    Scenario("roll workers", roll_workers),
    Scenario("hurry workers", hurry_workers),
    Scenario("backlog", backlog),
    Scenario("everything", everything, weight=2),
    Scenario("control without claim", without_claim, must_fail=True),
    Scenario("control without fence", without_fence, must_fail=True),
)
