"""The worker process: `python -m ml_worker.main`."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from types import FrameType
from typing import Any

from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from core import log
from core.database import Pool, make_pool
from core.health import CannotListen, HealthServer
from core.places import ArtifactsUnavailable
from core.settings import complaints
from core.tracing import Tracing, TracingNotInstalled
from ml_worker.bell import Bell, DatabaseBell
from ml_worker.children import MEGABYTE, Children, own_bytes
from ml_worker.consumer import BrokerBell
from ml_worker.handlers.base import Context, Handler, largest_batch
from ml_worker.handlers.registry import HANDLERS
from ml_worker.health import Checkup
from ml_worker.leases import Leases
from ml_worker.pulling import pull_at_start
from ml_worker.ranking import make_ranker
from ml_worker.recommenders.registry import plugins
from ml_worker.registry import open_registry
from ml_worker.settings import WorkerSettings
from ml_worker.slots import Slot
from ml_worker.vitals import Vitals

MEMORY_SECONDS = 2.0
"""How often a worker looks how much memory it has."""

GOODBYE_SECONDS = 2.0
"""How long the threads aside may take to end: a broker that is frozen never answers a farewell, and needs none."""


class Worker:
    """The threads of a worker process: slots, lease renewal and the bell."""

    def __init__(self, settings: WorkerSettings, *, handlers: Mapping[str, Handler[Any]] = HANDLERS) -> None:
        self._settings = settings
        self._handlers = handlers
        self._stopping = threading.Event()
        self._hand_back = threading.Event()
        self._stopped = threading.Event()
        self._bell = _make_bell(settings, handlers)
        self._vitals = Vitals(handlers, Tracing("marquee-worker", settings.otel_exporter_otlp_endpoint))
        self._registry = open_registry(settings)
        self._look_at = 0.0

    def run(self) -> None:
        """Work until `stop` is called. Raises `CannotListen` or `ArtifactsUnavailable` before anything is begun."""
        settings = self._settings
        self._registry.store.check()
        slot_count = sum(settings.slots(queue) for queue in settings.worker_queues)
        with make_pool(settings.database_url.get_secret_value(), max_size=2 * slot_count + 2) as pool, ExitStack() as stack:
            leases = Leases(pool, lease_seconds=settings.lease_seconds, vitals=self._vitals)
            if settings.worker_port:
                stack.enter_context(self._health_server(pool, leases))
            aside = [
                threading.Thread(target=leases.keep, args=(self._stopped,), name="leases", daemon=True),
                threading.Thread(target=self._bell.listen, args=(self._stopped,), name="bell", daemon=True),
            ]
            if settings.model_file_id:
                pull = (settings, pool, self._registry, self._stopped)
                aside.append(threading.Thread(target=pull_at_start, args=pull, name="pull", daemon=True))
            slots = [threading.Thread(target=slot.run, args=(self._stopping,), name=slot.lease_owner) for slot in self._slots(pool, leases)]
            for thread in (*aside, *slots):
                thread.start()
            log.get_logger(__name__).info("worker ready", queues=settings.worker_queues, slots=slot_count)
            self._drain(slots)
            self._stopped.set()
            for thread in aside:
                thread.join(GOODBYE_SECONDS)
            self._vitals.tracing.close()

    def stop(self, _signal: int | None = None, _frame: FrameType | None = None) -> None:
        """Take no more tasks and finish those under way; called again: hand them back now."""
        if self._stopping.is_set():
            self._hand_back.set()
        self._stopping.set()
        self._bell.stop_taking()

    def _drain(self, slots: list[threading.Thread]) -> None:
        while not self._stopping.wait(0.2):  # short, because Python handles signals only between waits
            self._look_at_memory()
        deadline = time.monotonic() + self._settings.drain_seconds
        while any(thread.is_alive() for thread in slots):
            self._bell.ring(*self._settings.worker_queues)  # wakes the idle ones to see that it is over
            if time.monotonic() > deadline:
                self._hand_back.set()
            time.sleep(0.05)

    def _look_at_memory(self) -> None:
        limit = self._settings.worker_memory_mb
        if limit is None or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + MEMORY_SECONDS
        used = own_bytes() // MEGABYTE
        if used > limit:
            log.get_logger(__name__).warning("worker ends to be started anew: WORKER_MEMORY_MB is passed", used_mb=used, limit_mb=limit)
            self.stop()

    def _health_server(self, pool: Pool, leases: Leases) -> HealthServer:
        settings = self._settings
        checkup = Checkup(pool, self._vitals, leases, self._bell, self._registry, settings.lease_seconds)
        return HealthServer(settings.worker_host, settings.worker_port, readiness=checkup.health, metrics=checkup.metrics)

    def _slots(self, pool: Pool, leases: Leases) -> list[Slot]:
        settings, registry = self._settings, self._registry
        ranker = make_ranker(pool, registry, settings)
        context = Context(pool, registry, ranker, settings, progress=_ignore)
        children = Children(settings)
        name = f"{socket.gethostname()}:{os.getpid()}"
        return [
            Slot(queue, f"{name}:{queue}-{number}", self._bell, leases, context, self._handlers, children, self._hand_back, self._vitals)
            for queue in settings.worker_queues
            for number in range(settings.slots(queue))
        ]


def _make_bell(settings: WorkerSettings, handlers: Mapping[str, Handler[Any]]) -> Bell:
    if settings.rabbitmq_url is None:
        return DatabaseBell(settings.database_url.get_secret_value(), queues=settings.worker_queues)
    # The next batch waits at hand while one is worked on. Should that take long, slots that hear nothing find its tasks.
    prefetch = {queue: 2 * settings.slots(queue) * largest_batch(handlers, queue) for queue in settings.worker_queues}
    return BrokerBell(settings.rabbitmq_url.get_secret_value(), prefetch=prefetch)


def _ignore(done: float, note: str | None = None) -> None:
    """Progress outside of any task."""


def main(handlers: Mapping[str, Handler[Any]] = HANDLERS) -> None:
    """Work until SIGTERM or Ctrl-C. Exit 2: the settings, the port or the artifact store are wrong."""
    try:
        settings = WorkerSettings()
    except ValidationError as error:
        for sentence in complaints(error):
            print(f"worker: {sentence}", file=sys.stderr)
        sys.exit(2)
    log.configure(level=settings.log_level, style=settings.log_format)
    threadpool_limits(limits=1, user_api="blas")  # slots and implicit's own threads are the parallelism
    for sentence in plugins().broken.values():
        log.get_logger(__name__).warning("plug-in left out", reason=sentence)
    try:
        worker = Worker(settings, handlers=handlers)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, worker.stop)
        worker.run()
    except TracingNotInstalled as error:
        print(f"worker: {error}.", file=sys.stderr)
        sys.exit(2)
    except ArtifactsUnavailable as error:
        print(f"worker: ARTIFACTS_URL cannot be used: {error}.", file=sys.stderr)
        sys.exit(2)
    except CannotListen as error:
        where = f"{settings.worker_host} port {settings.worker_port}"
        print(f"worker: cannot listen on {where}: {error}. Set WORKER_HOST or WORKER_PORT.", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
