"""How claimed tasks end: with all their effects in one fenced transaction, failed, to be tried again, or stopped."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from core import claims, failpoints, lists, tasks
from core.artifacts import ArtifactStore
from core.claims import Claimed
from core.database import Pool, transaction
from core.lists import ComputedList
from core.log import get_logger
from core.messages import RecommendPayload
from core.places import ArtifactsUnavailable
from ml_worker import results
from ml_worker.children import ChildFailed
from ml_worker.handlers.base import PermanentFailure, Product, Retry
from ml_worker.leases import Held
from ml_worker.metrics import Metrics

MANY_LISTS = 100

log = get_logger(__name__)


class _LeasesLost(Exception):
    """Some tasks of a batch are no longer ours; raised inside the completing transaction to roll it back."""

    def __init__(self, kept: set[Any]) -> None:
        super().__init__()
        self.kept = kept


@dataclass(frozen=True, slots=True)
class Endings:
    """Writes how tasks ended; a result too large for its row is put into the store before."""

    pool: Pool
    store: ArtifactStore
    metrics: Metrics

    def complete(self, done: list[tuple[Claimed, Product]]) -> None:
        """Everything the products want and the end of their tasks in one transaction; tasks we lost take no part in it."""
        outcomes = {task.id: results.outcome(task, product.result, self.store) for task, product in done}
        while done:
            try:
                with transaction(self.pool) as connection:
                    kept = claims.complete([outcomes[task.id] for task, _ in done]).run(connection)
                    if len(kept) < len(done):
                        raise _LeasesLost(kept)
                    # Two tasks of a batch may have asked for the same user: the list is stored once.
                    if made := {one.user_id: one for _, product in done for one in product.lists}:
                        _store(connection, made)
                    for _, product in done:
                        for effect in product.effects:
                            effect.run(connection)
                failpoints.reach("committed")
                self._count_done(task for task, _ in done)
                return
            except _LeasesLost as lost:
                log.warning("leases lost before completion", count=len(done) - len(lost.kept))
                self._count_fenced_out(task for task, _ in done if task.id not in lost.kept)
                done = [(task, product) for task, product in done if task.id in lost.kept]

    def stop(self, batch: Sequence[Claimed], held: Held) -> None:
        """What was cancelled is over, the rest goes back to its queue."""
        ours = [task for task in batch if task.id not in held.lost]
        cancelled = [task for task in ours if task.id in held.cancelled]
        with transaction(self.pool) as connection:
            for task in cancelled:
                claims.finish_cancelled(task).run(connection)
            tasks.notify_finished([task.id for task in cancelled]).run(connection)
            claims.release([task for task in ours if task.id not in held.cancelled]).run(connection)
        kind, metrics = batch[0].kind, self.metrics
        metrics.count_outcome(kind, "cancelled", len(cancelled))
        metrics.count_outcome(kind, "handed_back", len(ours) - len(cancelled))
        metrics.count_outcome(kind, "lost", len(batch) - len(ours))
        log.info("work stopped", cancelled=len(cancelled), handed_back=len(ours) - len(cancelled), lost=len(batch) - len(ours))

    def fail(self, task: Claimed, failure: PermanentFailure) -> None:
        """The task is over and says why."""
        log.info("task failed", task_id=str(task.id), correlation_id=task.correlation_id, kind=task.kind, code=failure.code)
        self._end_attempt(task, code=failure.code, message=failure.message, is_permanent=True)

    def retry(self, task: Claimed, error: Exception, policy: Retry) -> None:
        """The attempt is over; the task comes back later, unless its attempts are."""
        log.error("attempt failed", task_id=str(task.id), correlation_id=task.correlation_id, kind=task.kind, exc_info=error)
        if isinstance(error, ChildFailed):
            code, message = error.code, str(error)
        elif isinstance(error, ArtifactsUnavailable):
            # Its words name the address of the store, which is the operator's to know: they are in the log.
            code, message = "artifacts_unavailable", "the artifact store did not answer or refused"
        else:
            # Shown to whoever asked; what went wrong inside is in the log under the task's id.
            code, message = "unexpected_error", f"the work ended in an unexpected {type(error).__name__}"
        delay = policy.delay(task.attempt)
        self._end_attempt(task, code=code, message=message, is_permanent=False, delay_seconds=delay)

    def _end_attempt(self, task: Claimed, **ending: Any) -> None:
        with transaction(self.pool) as connection:
            state = claims.fail(task, **ending).run(connection)
            if state in tasks.TERMINAL_STATES:
                tasks.notify_finished([task.id]).run(connection)
        if state is None:
            self._count_fenced_out([task])
        else:
            self.metrics.count_outcome(task.kind, "retried" if state == "queued" else state)

    def _count_done(self, done: Iterable[Claimed]) -> None:
        for task in done:
            self.metrics.count_outcome(task.kind, "succeeded")
            if task.kind == RecommendPayload.kind:
                self.metrics.freshness.observe(task.seconds_since_creation)

    def _count_fenced_out(self, lost: Iterable[Claimed]) -> None:
        for task in lost:
            self.metrics.fenced_out.labels(self.metrics.kind(task.kind)).inc()
            self.metrics.count_outcome(task.kind, "lost")


def _store(connection: Connection[Any], made: Mapping[str, ComputedList]) -> None:
    """Lists by user. Of many at once nobody is told in particular: their followers look once a second anyway."""
    if len(made) > MANY_LISTS:
        lists.write_many(connection, list(made.values()))
        return
    lists.write(list(made.values())).run(connection)
    lists.notify_written(sorted(made)).run(connection)
