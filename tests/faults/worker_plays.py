"""Faults of workers: killed, failing, frozen, sent away in peace and in a hurry, and too few."""

import time
from typing import Final

from tests.faults.plays import LONG, Size, must, repeat_while_ordering, should_happen, submit
from tests.faults.stage import Stage

KILLS: Final = "received=kill:0.03,claimed=kill:0.06,computed=kill:0.06,committed=kill:0.06"
BACKLOG: Final = 10_000


def kill_workers(stage: Stage, size: Size) -> None:
    """Workers die by kill −9 on receiving, after the claim, after the work, and after the commit."""
    stage.start_apps()
    stage.start_workers(3, failpoints=KILLS)
    submit(stage, size)
    stage.play(600, until=lambda: not stage.is_ordering)
    stage.play(600, until=lambda: all(stage.counts[f"kill at {point}"] for point in ("received", "claimed", "computed", "committed")))
    stage.drain()


def fail_workers(stage: Stage, size: Size) -> None:
    """Workers meet an unexpected exception at each of the points, which may cost an attempt and never a worker."""
    stage.start_apps()
    stage.start_workers(2, failpoints="received=raise:0.05,claimed=raise:0.02,computed=raise:0.05,committed=raise:0.05")
    submit(stage, size)
    stage.play(600, until=lambda: not stage.is_ordering)
    must(stage, stage.play(60, until=stage.has_nothing_open), "work came to a standstill though no worker ended")
    stage.drain()


def freeze_workers(stage: Stage, size: Size) -> None:
    """Workers freeze past their leases and go on: whoever took their tasks over is believed, and they are not."""
    stage.start_apps()
    every = seldom(stage)
    stage.start_workers(2, failpoints=f"claimed=stop:@{every},computed=stop:@{every + 2},committed=stop:@{every + 5}")
    stage.start_workers(1)  # which takes over
    submit(stage, size)
    stage.play(600, until=lambda: not stage.is_ordering)
    stage.play(60, until=lambda: not stage.is_anyone_frozen)
    stage.play(1)
    stage.drain()
    should_happen(stage, stage.counts["frozen"] > 0, "no worker was frozen")
    should_happen(stage, "leases lost before completion" in (stage.folder / "work.log").read_text(), "no frozen worker was fenced out")


def seldom(stage: Stage) -> int:
    """Between two freezes of a worker: batches come quickly where rings come one by one, and slowly where it looks for work itself."""
    return 9 if stage.bell == "database" else 30


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
    should_happen(stage, len(rows) > 0, "there was no deadly task")
    for state, attempt, code, sizes in rows:
        must(stage, (state, attempt, code) == ("dead", 3, "lease_expired"), f"a deadly task is {state} ({code}) after {attempt} attempts")
        must(stage, all(batch_size == 1 for batch_size in sizes[1:]), f"a deadly task was retried in company: batches of {sizes}")
    others = stage.query("SELECT count(*) FROM tasks WHERE coalesce_key <> 'deadly' AND state <> 'succeeded'")
    must(stage, others == [(0,)], f"{others[0][0]} neighbours of deadly tasks did not finish")


def roll_workers(stage: Stage, size: Size) -> None:
    """Workers are replaced one after the other by SIGTERM; no attempt is spent and each exits with 0."""
    stage.start_apps()
    workers = stage.start_workers(3)
    submit(stage, size, mix=(("plain", 0.9), ("slow", 0.1)), cancelled=0, impatient=0)

    def replace() -> None:
        stage.end(workers.pop(0))
        workers.extend(stage.start_workers(1))

    repeat_while_ordering(stage, replace, pause=(0.1, 0.5))
    stage.drain()
    spent = stage.query("SELECT count(*) FROM tasks WHERE (state, attempt) <> ('succeeded', 1)")
    must(stage, spent == [(0,)], f"{spent[0][0]} tasks did not succeed at their first attempt though workers ended in peace")


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
        must(stage, time.monotonic() - before < 5, "a worker was not through 5 s after its second SIGTERM")
    found = stage.query("SELECT state, attempt FROM tasks")
    must(stage, all(row == ("queued", 0) for row in found), f"tasks were not handed back with their attempts: {found}")
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
