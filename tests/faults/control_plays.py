"""The control group on the stage; it has to fail."""

from core import rings
from tests.faults import control, entries
from tests.faults.plays import Size, submit
from tests.faults.stage import Stage
from tests.faults.worker_plays import seldom


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
    stage.start_workers(2, entry=entries.work_without_fence, failpoints=f"computed=stop:@{seldom(stage)}")
    stage.start_workers(1, entry=entries.work_without_fence)  # which takes over
    submit(stage, size)
    stage.play(600, until=lambda: not stage.is_ordering)
    stage.play(60, until=lambda: not stage.is_anyone_frozen)
    stage.play(1)
    stage.drain()
