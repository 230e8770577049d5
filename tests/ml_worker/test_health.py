"""How a worker says it is."""

import threading

import pytest

from core.artifacts import ArtifactStore
from core.database import make_pool
from ml_worker.bell import DatabaseBell
from ml_worker.health import Checkup
from ml_worker.leases import Leases
from ml_worker.registry import Registry
from ml_worker.vitals import Vitals


@pytest.fixture
def checkup(pool, settings, leases, tmp_path):
    """Of a worker whose one slot has just been looked after, and whose bell does not ring."""
    vitals = Vitals(["recommend"])
    vitals.tick("interactive-0", "waiting")
    bell = DatabaseBell(settings.database_url.get_secret_value(), queues=("interactive",))
    return Checkup(pool, vitals, leases, bell, Registry(ArtifactStore(tmp_path)), lease_seconds=30)


def test_a_bell_that_is_away_only_slows_things_down(checkup):
    health = checkup.health()
    assert (health.status, health.checks["bell"]) == ("degraded", "not connected; polling meanwhile")
    assert health.details["slots"]["interactive-0"]["doing"] == "waiting"


def test_a_bell_that_rings_is_well(checkup):
    stopping = threading.Event()
    listening = threading.Thread(target=checkup.bell.listen, args=(stopping,))
    listening.start()
    checkup.bell.wait("interactive", since=0, timeout=10)  # it rings once when it begins to listen
    assert checkup.health().status == "ok"
    stopping.set()
    listening.join()


@pytest.mark.parametrize(
    ("change", "check", "told"),
    [({"late_seconds": -1.0}, "slots", "no sign of life of interactive-0"), ({"lease_seconds": -1.0}, "leases", "not renewed for")],
)
def test_a_slot_that_hangs_and_leases_that_lapse_are_told(checkup, change, check, told):
    late = Checkup(checkup.pool, checkup.vitals, checkup.leases, checkup.bell, checkup.registry, **{"lease_seconds": 30, **change})
    health = late.health()
    assert health.status == "down"
    assert health.checks[check].startswith(told)


def test_a_database_that_is_away_is_told_within_seconds(checkup, tmp_path):
    with make_pool("postgresql://nobody@127.0.0.1:1/none") as pool:
        leases = Leases(pool, lease_seconds=30)
        health = Checkup(pool, checkup.vitals, leases, checkup.bell, checkup.registry, lease_seconds=30).health()
    assert (health.status, health.checks["database"]) == ("down", "does not answer")


def test_kinds_that_nobody_knows_share_a_label(checkup):
    metrics = checkup.vitals.metrics
    for kind in ("recommend", "dance", "sing"):
        metrics.count_outcome(kind, "failed")
    rendered = checkup.metrics().decode()
    assert 'marquee_worker_tasks_total{kind="recommend",outcome="failed"} 1.0' in rendered
    assert 'marquee_worker_tasks_total{kind="unknown",outcome="failed"} 2.0' in rendered
