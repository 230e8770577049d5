"""How a worker is, for its `/readyz`, and the metrics that are read rather than counted."""

import math
import os
from dataclasses import dataclass
from typing import Any, Final, Literal

import psycopg
from psycopg_pool import PoolTimeout

from core.database import Pool
from core.health import Health
from ml_worker.bell import Bell
from ml_worker.children import resident_bytes
from ml_worker.leases import Leases
from ml_worker.registry import Registry
from ml_worker.vitals import Vitals

DATABASE_SECONDS: Final = 2.0
LATE_SECONDS: Final = 120.0
"""Work reports progress at least every few seconds; a slot silent for longer than this hangs."""


@dataclass(frozen=True, slots=True)
class Checkup:
    """Looks at everything a worker is made of."""

    pool: Pool
    vitals: Vitals
    leases: Leases
    bell: Bell
    registry: Registry
    lease_seconds: float
    late_seconds: float = LATE_SECONDS

    def health(self) -> Health:
        """`down` when the database is away, a slot hangs or leases lapse; `degraded` while slots poll because the bell is away."""
        checks = {"database": self._check_database(), "slots": self._check_slots(), "leases": self._check_leases(), "bell": "ok"}
        is_down = set(checks.values()) != {"ok"}
        if not self.bell.is_connected:
            checks["bell"] = "not connected; polling meanwhile"
        status: Literal["ok", "degraded", "down"] = "down" if is_down else "ok" if self.bell.is_connected else "degraded"
        return Health(status, checks, self._details())

    def metrics(self) -> bytes:
        """Every metric of the process, now."""
        metrics = self.vitals.metrics
        metrics.renewal_age.set(self.leases.seconds_since_renewal)
        free = self.registry.store.free_bytes
        metrics.artifacts_free.set(math.nan if free is None else free)
        metrics.bell_connected.set(self.bell.is_connected)
        metrics.model_version.set(self.registry.served_version or 0)
        for slot, sign in self.vitals.signs().items():
            metrics.slot_age.labels(slot).set(sign.age_seconds)
        return metrics.render()

    def _details(self) -> dict[str, Any]:
        signs = sorted(self.vitals.signs().items())
        return {
            "slots": {slot: {"doing": sign.doing, "last_tick_seconds_ago": round(sign.age_seconds, 1)} for slot, sign in signs},
            "leases_renewed_seconds_ago": round(self.leases.seconds_since_renewal, 1),
            "bell": {"rung_by": self.bell.rung_by, "is_connected": self.bell.is_connected},
            "model_version": self.registry.served_version,
            "resident_bytes": resident_bytes(os.getpid()),
        }

    def _check_database(self) -> str:
        try:
            with self.pool.connection(timeout=DATABASE_SECONDS) as connection:
                connection.execute("SELECT 1")
        except (psycopg.Error, PoolTimeout):
            return "does not answer"
        return "ok"

    def _check_slots(self) -> str:
        ages = {slot: sign.age_seconds for slot, sign in sorted(self.vitals.signs().items())}
        late = [f"{slot} for {age:.0f} s" for slot, age in ages.items() if age > self.late_seconds]
        return f"no sign of life of {', '.join(late)}" if late else "ok"

    def _check_leases(self) -> str:
        age = self.leases.seconds_since_renewal
        return "ok" if age <= self.lease_seconds else f"not renewed for {age:.0f} s"
