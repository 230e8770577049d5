"""A slot works for one queue: claim a batch, run its handlers, complete it; one batch at a time."""

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout
from pydantic import ValidationError

from core import claims, failpoints, messages
from core.claims import Claim, Claimed
from core.database import transaction
from core.log import get_logger
from core.messages import Payload, PayloadNotUnderstood
from core.topology import QueueName
from ml_worker.bell import Bell, Ring
from ml_worker.children import Children
from ml_worker.endings import Endings
from ml_worker.handlers.base import Answer, Context, Handler, Job, PermanentFailure, Product, largest_batch
from ml_worker.leases import Held, Leases, WorkMustStop
from ml_worker.naming import named_in_log
from ml_worker.vitals import Doing, Vitals

DATABASE_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)
MAX_PAUSE_SECONDS = 5.0

Batch = Sequence[Job[Any]]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Slot:
    """One thread's worth of work for one queue."""

    queue: QueueName
    lease_owner: str
    bell: Bell
    leases: Leases
    context: Context
    handlers: Mapping[str, Handler[Any]]
    children: Children
    hand_back: threading.Event
    vitals: Vitals = field(default_factory=Vitals)

    @property
    def name(self) -> str:
        """Which slot of its process this is."""
        return self.lease_owner.rpartition(":")[2]

    @property
    def _endings(self) -> Endings:
        return Endings(self.context.pool, self.context.registry.store, self.vitals.metrics)

    def run(self, stopping: threading.Event) -> None:
        """Work until `stopping` is set; the batch under way is finished or handed back first."""
        pause, is_quiet = 0.1, True
        while not stopping.is_set():
            seen = self.bell.count(self.queue)
            self._tick("waiting")
            try:
                if not self.work_once(look=is_quiet):
                    self.bell.wait(self.queue, since=seen, timeout=self.context.settings.poll_seconds)
                    # A slot that heard nothing looks for itself: the broker may be away, frozen or short of memory.
                    is_quiet = self.bell.count(self.queue) == seen
                pause = 0.1
                continue
            except DATABASE_ERRORS as error:
                log.warning("database not reachable", queue=self.queue, reason=str(error).strip(), retry_in_seconds=pause)
            except Exception as error:  # whatever it is, the slot must not end: its worker would live on without it
                log.error("a slot failed and goes on", queue=self.queue, retry_in_seconds=pause, exc_info=error)
            stopping.wait(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def work_once(self, *, look: bool = True) -> bool:
        """Claim a batch and see it through; False if nothing was due. Without `look` only rings with a name are followed."""
        rings = self.bell.take(self.queue, limit=largest_batch(self.handlers, self.queue))
        if not rings and not (look or self.bell.must_poll):
            return False
        try:
            claim = self._claim([ring.task_id for ring in rings])
            unsettled = self._settle_early(rings, claim)
        except BaseException:
            self.bell.put_back(self.queue, rings)
            raise
        try:
            if claim.tasks:
                self._work(claim.tasks)
        finally:
            self.bell.settle(unsettled)  # whatever came of it, the table knows and the ring has done its work
        return bool(claim.tasks or claim.deferred)

    def _claim(self, rung: Sequence[uuid.UUID]) -> Claim:
        failpoints.reach("received")
        owner, seconds = self.lease_owner, self.context.settings.lease_seconds
        if rung:
            statement = claims.claim_rung(self.queue, rung, lease_owner=owner, lease_seconds=seconds)
        else:
            limit = largest_batch(self.handlers, self.queue)
            statement = claims.claim_next(self.queue, lease_owner=owner, lease_seconds=seconds, limit=limit)
        with self.context.pool.connection() as connection:
            claim = statement.run(connection)
        metrics = self.vitals.metrics
        metrics.claims.labels(self.queue, "tasks" if claim.tasks else "nothing").inc()
        if claim.tasks:
            metrics.batch_size.labels(self.queue).observe(len(claim.tasks))
        return claim

    def _settle_early(self, rings: Sequence[Ring], claim: Claim) -> list[Ring]:
        """Settle rings that brought nothing, and those of long work, whose lease protects it; returns the others."""
        claimed = {task.id: self.handlers.get(task.kind) for task in claim.tasks}
        stale = [ring for ring in rings if ring.task_id not in claimed and ring.task_id not in claim.deferred]
        if stale:
            self.vitals.metrics.stale_rings.labels(self.queue).inc(len(stale))
            with transaction(self.context.pool) as connection:
                strangers = claims.find_strangers(self.queue, [ring.task_id for ring in stale]).run(connection)
            self.bell.settle([ring for ring in stale if ring.task_id not in strangers])
            self.bell.settle([ring for ring in stale if ring.task_id in strangers], is_understood=False)
        self.bell.put_back(self.queue, [ring for ring in rings if ring.task_id in claim.deferred])
        working = [(ring, claimed[ring.task_id]) for ring in rings if ring.task_id in claimed]
        self.bell.settle([ring for ring, handler in working if handler and handler.runs_in_child])
        return [ring for ring, handler in working if not (handler and handler.runs_in_child)]

    def _work(self, claimed: list[Claimed]) -> None:
        held = Held(claimed, hand_back=self.hand_back)
        self.leases.add(held)
        try:
            failpoints.reach("claimed")
            self._tick("working")
            jobs = [job for job in map(self._parse, claimed) if job is not None]
            for kind, batch in groupby(sorted(jobs, key=_kind), key=_kind):
                self._see_through(self.handlers[kind], list(batch), held)
        finally:
            self.leases.drop(held)

    def _parse(self, task: Claimed) -> Job[Payload] | None:
        try:
            return Job(task, messages.parse(task.kind, task.payload_version, task.payload))
        except PayloadNotUnderstood as error:
            reason = str(error)
        except ValidationError as error:
            first = error.errors()[0]
            reason = f"payload.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        with named_in_log([task]):
            self._endings.fail(task, PermanentFailure("payload_not_understood", reason))
        return None

    def _see_through(self, handler: Handler[Any], batch: Batch, held: Held) -> None:
        """Run and complete a batch. If it fails as a whole its tasks are run one by one, so that the good ones finish."""
        with named_in_log([job.task for job in batch]):
            began = time.monotonic()
            is_settled = self._attempt(handler, batch, held)
            if is_settled and self.vitals.tracing.is_on:
                self._trace([job.task for job in batch], time.monotonic() - began)
        if not is_settled:
            for job in batch:
                self._see_through(handler, [job], held)

    def _trace(self, attempted: Sequence[Claimed], seconds: float) -> None:
        record, now = self.vitals.tracing.record, time.monotonic()
        for task in attempted:
            if task.correlation_id is None:
                continue
            told: dict[str, str | int] = {"marquee.task_id": str(task.id), "marquee.attempt": task.attempt, "marquee.batch": len(attempted)}
            if task.attempt == 1:
                waited, ago = task.age_seconds, now - task.claimed_at
                record(f"wait in {self.queue}", correlation_id=task.correlation_id, seconds=waited, ended_ago=ago, attributes=told)
            record(f"task {task.kind}", correlation_id=task.correlation_id, seconds=seconds, attributes=told)

    def _attempt(self, handler: Handler[Any], batch: Batch, held: Held) -> bool:
        """Run and complete a batch; False if its tasks are to be run one by one."""
        kind, started = handler.payload.kind, time.monotonic()
        try:
            answers = self._run(handler, batch, held)
            failpoints.reach("computed")
            self._endings.complete([(job.task, answer) for job, answer in zip(batch, answers, strict=True) if isinstance(answer, Product)])
            for job, answer in zip(batch, answers, strict=True):
                if isinstance(answer, PermanentFailure):
                    self._endings.fail(job.task, answer)
        except WorkMustStop:
            self._endings.stop([job.task for job in batch], held)
        except Exception as error:
            if len(batch) > 1:
                log.warning("batch failed; its tasks are run one by one", kind=kind, count=len(batch), error=repr(error))
                return False
            self._endings.retry(batch[0].task, error, handler.retry)
        else:
            seconds = time.monotonic() - started
            self.vitals.metrics.duration.labels(self.vitals.metrics.kind(kind)).observe(seconds)
            log.info("batch done", kind=kind, count=len(batch), seconds=round(seconds, 4))
        return True

    def _run(self, handler: Handler[Any], batch: Batch, held: Held) -> Sequence[Answer]:
        def report(done: float, note: str | None = None) -> None:
            self._tick("working")
            held.report(done, note)

        if handler.runs_in_child:
            return self.children.run(handler.payload.kind, batch, report=report)
        return handler.run(batch, replace(self.context, progress=report))

    def _tick(self, doing: Doing) -> None:
        self.vitals.tick(self.name, doing)


def _kind(job: Job[Any]) -> str:
    return job.task.kind
