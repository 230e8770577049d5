"""Rings that come twice, late, or are none."""

import uuid
from typing import Final

from core import rings
from tests.faults.plays import Size, must, repeat_while_ordering, submit
from tests.faults.stage import Stage

MEGABYTE: Final = 1 << 20


def shuffle_rings(stage: Stage, size: Size) -> None:
    """Rings come twice, late, out of order, and for tasks that ended or never were."""
    stage.start_apps()
    stage.start_workers(3, failpoints="committed=kill:0.01")
    submit(stage, size)

    def mischief() -> None:
        known = list(stage.acknowledged().values())
        again = [stage.dice.choice(known) for _ in range(100)] if known else []
        bodies = [rings.encode(task_id) for task_id in again + again[:50] + [uuid.UUID(int=stage.dice.getrandbits(128)) for _ in range(10)]]
        stage.dice.shuffle(bodies)
        stage.broker.publish(bodies)
        stage.counts["rings of the nemesis"] += len(bodies)

    repeat_while_ordering(stage, mischief, pause=(0.1, 0.3))
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
    submit(stage, size)
    stage.play(10, until=lambda: len(stage.acknowledged()) > 0)
    astray = [rings.encode(task_id) for task_id in list(stage.acknowledged().values())[:3]]
    started = [worker.process.pid for worker in workers]
    for body in stage.dice.sample(poison, k=len(poison)):
        stage.broker.publish([body])
        stage.play(0.1)
    stage.broker.publish(astray, queue="batch")
    stage.play(600, until=lambda: not stage.is_ordering)
    stage.drain()
    must(stage, [worker.process.pid for worker in workers] == started, "a poisonous ring ended a worker")
    found = sorted(stage.broker.take_dead())
    must(stage, found == sorted(poison + astray), f"other messages are dead than those that should be: {[body[:60] for body in found]}")
    return len(poison) + len(astray)
