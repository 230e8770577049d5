"""`python -m app.main`: the API as one process, from settings to a graceful end."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import uvicorn
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from pydantic import ValidationError

from app.api import problems
from app.api.deps import Services
from app.api.middleware import MAX_BODY_BYTES, Envelope
from app.api.router import IMPORT_PATH, TAGS, router
from app.changes import ListChanges, TaskChanges
from app.dispatcher import Dispatcher
from app.gauges import QueueGauges
from app.janitor import Janitor
from app.metrics import Metrics
from app.notifications import FinishedTasks
from app.publisher import Publisher
from app.quota import QueueQuota
from app.scheduler import Scheduler
from app.security import AccessTokens, Passwords
from app.services import accounts
from app.settings import AppSettings
from app.sign_in_limit import SignInLimit
from app.start import end_loops, refuse, wait_for_database
from core import log as logging
from core.artifacts import open_artifacts
from core.database import make_async_pool, make_engine, session_transaction
from core.places import ArtifactsUnavailable
from core.settings import complaints
from core.tracing import Tracing, TracingNotInstalled

SHUTDOWN_SECONDS: Final = 3
DESCRIPTION: Final = """**Events in, recommendations out.** Send what people watch, like and save; ask what to show next.

Press *Authorize* and sign in with an account (`POST /api/v1/auth/register` makes one) to try the endpoints here.
Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problems; every answer carries `X-Correlation-ID`."""

log = logging.get_logger(__name__)


def create_app(settings: AppSettings) -> FastAPI:
    """The API; what it needs is opened when it starts and closed when it ends."""

    metrics = Metrics()
    tracing = Tracing("marquee-app", settings.otel_exporter_otlp_endpoint)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.services = await _open_services(settings, metrics, stack)
            yield
        await asyncio.to_thread(tracing.close)

    app = FastAPIOffline(
        title="Marquee",
        summary="A self-hosted recommender.",
        description=DESCRIPTION,
        version=_version(),
        redoc_url=None,
        openapi_tags=TAGS,
        swagger_ui_parameters={"persistAuthorization": True, "displayRequestDuration": True},
        lifespan=lifespan,
    )
    app.add_middleware(Envelope, metrics=metrics, tracing=tracing, largest={IMPORT_PATH: settings.model_bundle_bytes + MAX_BODY_BYTES})
    app.include_router(router)
    problems.install(app)
    return app


def _version() -> str:
    try:
        return version("marquee")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


async def _open_services(settings: AppSettings, metrics: Metrics, stack: AsyncExitStack) -> Services:
    url = settings.database_url.get_secret_value()
    engine = make_engine(url)
    stack.push_async_callback(engine.dispose)
    pool = await stack.enter_async_context(make_async_pool(url))
    publisher = Publisher(settings.rabbitmq_url.get_secret_value(), metrics=metrics) if settings.rabbitmq_url else None
    scheduler = Scheduler(pool, timezone=settings.schedule_timezone, metrics=metrics)
    dispatcher = Dispatcher(pool, publisher, scheduler=scheduler, metrics=metrics)
    changes, list_changes = TaskChanges(pool), ListChanges(pool)
    services = Services(
        settings=settings,
        engine=engine,
        pool=pool,
        passwords=Passwords(),
        access_tokens=AccessTokens(settings.jwt_secret.get_secret_value(), lifetime_seconds=settings.access_token_minutes * 60),
        finished=FinishedTasks(
            url,
            pool,
            on_bell=dispatcher.wake if publisher else None,
            on_finished=changes.hurry,
            on_lists=list_changes.hurry,
        ),
        changes=changes,
        list_changes=list_changes,
        quota=QueueQuota(settings.tasks_queued_per_owner),
        sign_ins=SignInLimit(settings.sign_in_failures),
        artifacts=open_artifacts(settings),
        dispatcher=dispatcher,
        publisher=publisher,
        metrics=metrics,
        gauges=QueueGauges(pool, metrics),
    )
    await _ensure_admin(services)
    loops = [services.finished.listen(), changes.look(), list_changes.look()]
    if settings.dispatcher:
        loops.append(dispatcher.run())
    if publisher is not None:
        loops.append(publisher.run())
    limits = {
        "task_days": settings.task_retention_days,
        "impression_days": settings.impression_retention_days,
        "orphan_hours": settings.orphan_hours,
    }
    loops.append(Janitor(pool, services.artifacts, **limits, metrics=metrics).run())
    for background in loops:
        stack.push_async_callback(end_loops, asyncio.create_task(background))
    return services


async def _ensure_admin(services: Services) -> None:
    email, password = services.settings.admin_email, services.settings.admin_password
    if email is None or password is None:
        return
    async with session_transaction(services.engine) as session:
        if await accounts.ensure_admin(session, services.passwords, email=email, password=password.get_secret_value()):
            log.info("administrator created", email=email)


class Server(uvicorn.Server):
    """Uvicorn, which ends long polls and event streams before it waits for open requests."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app = self.config.app
        assert isinstance(app, FastAPI)
        app.state.services.finished.stop_waiting()
        app.state.services.changes.stop()
        app.state.services.list_changes.stop()
        await super().shutdown(sockets)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C. Exit 2: the settings or the port are wrong; 1: the database is."""
    try:
        settings = AppSettings()
    except ValidationError as error:
        refuse(2, *complaints(error))
    logging.configure(level=settings.log_level, style=settings.log_format)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # until uvicorn takes over, and when it hands the signal back
    listener = _listen(settings)
    wait_for_database(settings.database_url.get_secret_value())
    try:
        open_artifacts(settings).check()
    except ArtifactsUnavailable as error:
        refuse(2, f"ARTIFACTS_URL cannot be used: {error}.")
    try:
        app = create_app(settings)
    except TracingNotInstalled as error:
        refuse(2, f"{error}.")
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        forwarded_allow_ips=settings.trusted_proxies,
    )
    server = Server(config)
    log.info("listening", url=f"http://{settings.api_host}:{settings.api_port}", docs="/docs")
    server.run(sockets=[listener])


def _listen(settings: AppSettings) -> socket.socket:
    address = (settings.api_host, settings.api_port)
    try:
        return socket.create_server(address, family=socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET, backlog=2048)
    except OSError as error:
        # Python adds the address to the reason of a failed bind; names that are not found have no errno of the system.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        refuse(2, f"cannot listen on {settings.api_host} port {settings.api_port}: {reason}. Set API_HOST or API_PORT.")


if __name__ == "__main__":
    main()
