"""`python -m app.dispatch`: the dispatcher as a process of its own, for apps that run with DISPATCHER=off."""

import asyncio
import signal
from contextlib import AsyncExitStack
from typing import Final, Literal

from pydantic import ValidationError

from app.dispatcher import Dispatcher
from app.metrics import DispatcherMetrics
from app.notifications import FinishedTasks
from app.publisher import Publisher
from app.scheduler import Scheduler
from app.settings import DispatcherSettings
from app.start import end_loops, refuse, wait_for_database
from core import log as logging
from core.database import make_async_pool
from core.health import CannotListen, Health, HealthServer
from core.settings import complaints

PROCESS: Final = "dispatcher"

log = logging.get_logger(__name__)


class DispatcherProcess:
    """Reaps and rings until it is told to stop; any number of these may run beside apps that do the same."""

    def __init__(self, settings: DispatcherSettings) -> None:
        self._settings = settings
        self._metrics = DispatcherMetrics()
        self._publisher = Publisher(settings.rabbitmq_url.get_secret_value(), metrics=self._metrics) if settings.rabbitmq_url else None

    async def run(self) -> None:
        """Work until SIGTERM or Ctrl-C. Raises `CannotListen`."""
        url = self._settings.database_url.get_secret_value()
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(make_async_pool(url, max_size=4))
            scheduler = Scheduler(pool, timezone=self._settings.schedule_timezone, metrics=self._metrics)
            dispatcher = Dispatcher(pool, self._publisher, scheduler=scheduler, metrics=self._metrics)
            if self._settings.dispatcher_port:
                stack.enter_context(self._health_server(dispatcher))
            loops = [dispatcher.run()]
            if self._publisher is not None:
                loops += [self._publisher.run(), FinishedTasks(url, pool, on_bell=dispatcher.wake).listen()]
            working = [asyncio.create_task(loop) for loop in loops]
            log.info("dispatcher ready")
            await stopping.wait()
            await end_loops(*working)

    def _health_server(self, dispatcher: Dispatcher) -> HealthServer:
        def metrics() -> bytes:
            self._metrics.pass_age.set(dispatcher.pass_age)
            self._metrics.observe_broker(self._publisher.is_connected if self._publisher else None)
            return self._metrics.render()

        return HealthServer(
            self._settings.dispatcher_host, self._settings.dispatcher_port, readiness=lambda: self._health(dispatcher), metrics=metrics
        )

    def _health(self, dispatcher: Dispatcher) -> Health:
        # A pass that succeeded is the proof that the database answers.
        checks = {"dispatcher": dispatcher.describe()}
        status: Literal["ok", "degraded", "down"] = "ok" if checks["dispatcher"] == "ok" else "down"
        if self._publisher is not None:
            checks["broker"] = "ok" if self._publisher.is_connected else "does not answer; workers poll the database meanwhile"
            if status == "ok" and not self._publisher.is_connected:
                status = "degraded"
        return Health(status, checks)


def main() -> None:
    """Exit 2: the settings or the port are wrong; 1: the database is."""
    try:
        settings = DispatcherSettings()
    except ValidationError as error:
        refuse(2, *complaints(error), process=PROCESS)
    logging.configure(level=settings.log_level, style=settings.log_format)
    wait_for_database(settings.database_url.get_secret_value(), process=PROCESS)
    try:
        asyncio.run(DispatcherProcess(settings).run())
    except CannotListen as error:
        where = f"{settings.dispatcher_host} port {settings.dispatcher_port}"
        refuse(2, f"cannot listen on {where}: {error}. Set DISPATCHER_HOST or DISPATCHER_PORT.", process=PROCESS)


if __name__ == "__main__":
    main()
