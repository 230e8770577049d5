"""The leases a worker holds: renewed from one thread, which carries progress out and requests to stop back in."""

import threading
import time
import uuid
from collections.abc import Sequence

import psycopg
from psycopg_pool import PoolTimeout

from core import claims
from core.claims import Claimed, Progress
from core.database import Pool, transaction
from core.log import get_logger
from ml_worker.naming import named_in_log
from ml_worker.vitals import Vitals


class WorkMustStop(Exception):
    """Raised out of a progress report into the work: its batch cannot or need not be finished."""


class Held:
    """One claimed batch while it runs; its `report` is the progress function that handlers call."""

    def __init__(self, claimed: Sequence[Claimed], *, hand_back: threading.Event) -> None:
        self.claimed = list(claimed)
        self.cancelled: set[uuid.UUID] = set()
        self.lost: set[uuid.UUID] = set()
        self._hand_back = hand_back
        self._done = 0.0
        self._note: str | None = None

    def report(self, done: float, note: str | None = None) -> None:
        """Remember how far the work is; raises `WorkMustStop` when the worker or every task of the batch was told to stop."""
        self._done, self._note = min(max(done, 0.0), 1.0), note
        if self._hand_back.is_set() or all(task.id in self.cancelled or task.id in self.lost for task in self.claimed):
            raise WorkMustStop

    def progress(self) -> list[Progress]:
        """What a renewal of this batch carries."""
        return [Progress(task, self._done, self._note) for task in self.claimed if task.id not in self.lost]

    def learn(self, renewed: dict[uuid.UUID, bool]) -> None:
        """Take note of what a renewal brought back; see `core.claims.renew`."""
        for task in self.claimed:
            if task.id not in renewed:
                self.lost.add(task.id)
            elif renewed[task.id]:
                self.cancelled.add(task.id)


class Leases:
    """All batches this process holds."""

    def __init__(self, pool: Pool, *, lease_seconds: float, vitals: Vitals | None = None) -> None:
        self._pool = pool
        self._lease_seconds = lease_seconds
        self._metrics = (vitals or Vitals()).metrics
        self._renewed_at = time.monotonic()
        self._held: set[Held] = set()
        self._lock = threading.Lock()

    @property
    def seconds_since_renewal(self) -> float:
        """How long ago everything held was last renewed; nothing held counts as renewed."""
        return time.monotonic() - self._renewed_at

    def add(self, held: Held) -> None:
        """Renew this batch from now on."""
        with self._lock:
            self._held.add(held)

    def drop(self, held: Held) -> None:
        """Stop renewing this batch."""
        with self._lock:
            self._held.discard(held)

    def keep(self, stopped: threading.Event) -> None:
        """Renew every third of the lease, and progress at least once a second, until `stopped` is set; runs on a thread of its own."""
        interval = min(self._lease_seconds / 3, 1.0)
        while not stopped.wait(interval):
            with self._lock:
                held = list(self._held)
            if self._renew(held):
                self._renewed_at = time.monotonic()

    def _renew(self, held: Sequence[Held]) -> bool:
        try:
            for batch in held:
                with transaction(self._pool) as connection:
                    renewed = claims.renew(batch.progress(), lease_seconds=self._lease_seconds).run(connection)
                batch.learn(renewed)
                self._metrics.renewals.inc(len(renewed))
        except (psycopg.OperationalError, PoolTimeout) as error:
            # Nothing is decided here: if the database stays away the leases lapse, and the fence keeps our late answers out.
            self._metrics.renewal_failures.inc()
            with named_in_log([task for batch in held for task in batch.claimed]):
                get_logger(__name__).warning("leases not renewed", reason=str(error).strip(), at=time.time())
            return False
        return True
