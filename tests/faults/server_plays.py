"""Faults of the broker, the database and the API, alone and all at once."""

from collections.abc import Callable, Sequence

from tests.faults.plays import Size, must, repeat_while_ordering, should_happen, submit
from tests.faults.stage import Stage
from tests.faults.worker_plays import KILLS, kill_workers


def kill_broker(stage: Stage, size: Size) -> None:
    """The broker dies and comes back with its data."""
    _break_broker(stage, size, stage.node.kill)


def wipe_broker(stage: Stage, size: Size) -> None:
    """The broker dies and comes back with nothing, not even its queues."""
    _break_broker(stage, size, stage.node.wipe)


def _break_broker(stage: Stage, size: Size, fault: Callable[[], None]) -> None:
    stage.start_apps()
    stage.start_workers(2, failpoints="claimed=kill:0.01")
    submit(stage, size)

    def outage() -> None:
        fault()
        stage.counts["broker outages"] += 1
        stage.play(stage.dice.uniform(0.5, 2.0))
        stage.node.start()

    repeat_while_ordering(stage, outage, pause=(1.0, 3.0))
    stage.drain()


def no_broker(stage: Stage, size: Size) -> None:
    """Nobody ever answers at the broker's address."""
    kill_workers(stage, size)


def freeze_broker(stage: Stage, size: Size) -> None:
    """The broker answers nothing though its connections stand: meanwhile tasks are done and workers end in peace all the same."""
    stage.start_apps()
    workers = stage.start_workers()
    submit(stage, size)

    def frost() -> None:
        stage.node.freeze()
        stage.counts["broker outages"] += 1
        before = len(stage.query("SELECT 1 FROM witness"))
        stage.play(stage.dice.uniform(2.0, 4.0))
        if stage.is_ordering:
            must(stage, len(stage.query("SELECT 1 FROM witness")) > before, "nothing was done while the broker was frozen")
        stage.end(workers.pop(0))
        workers.extend(stage.start_workers(1))
        stage.node.thaw()

    repeat_while_ordering(stage, frost)
    stage.drain()


def starve_broker(stage: Stage, size: Size) -> None:
    """The broker is short of memory and takes no rings."""
    stage.start_apps()
    stage.start_workers()
    submit(stage, size)

    def alarm() -> None:
        stage.node.control("set_vm_memory_high_watermark", "0")
        stage.counts["broker outages"] += 1
        stage.play(stage.dice.uniform(1.0, 2.0))
        stage.node.control("set_vm_memory_high_watermark", "0.6")

    repeat_while_ordering(stage, alarm)
    stage.drain()


def kill_database(stage: Stage, size: Size) -> None:
    """PostgreSQL dies as a whole, or one of its sessions does and takes all others along."""
    stage.start_apps()
    stage.start_workers(failpoints="claimed=kill:0.01")
    submit(stage, size)

    def outage() -> None:
        stage.counts["database outages"] += 1
        if stage.counts["database outages"] % 2:
            stage.postgres.kill()
            stage.play(stage.dice.uniform(0.0, 1.0))
            stage.postgres.restart()
        else:
            stage.postgres.crash_session(stage.url)

    repeat_while_ordering(stage, outage, pause=(1.5, 3.0))
    stage.play(1)
    stage.drain()


def kill_apps(stage: Stage, size: Size) -> None:
    """The API dies between the commit and the ring, often before the client is told."""
    stage.start_apps(2, failpoints="before_ring=kill:0.01")
    apps = list(stage.actors)
    stage.start_workers()
    submit(stage, size)
    repeat_while_ordering(stage, lambda: stage.kill(stage.dice.choice(apps)))
    stage.drain()
    should_happen(stage, stage.counts["kill at before_ring"] > 0, "no copy of the API was killed before it rang")


def everything(stage: Stage, size: Size) -> None:
    """All of it at once, in random order."""
    stage.start_apps(2, failpoints="before_ring=kill:0.003")
    stage.start_workers(3, failpoints=KILLS + ",claimed=stop:0.01,computed=stop:0.01,computed=raise:0.02")
    submit(stage, size)
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

    repeat_while_ordering(stage, fault)
    stage.play(1)
    stage.drain()
