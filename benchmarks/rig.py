"""A private PostgreSQL, a private broker, the product's publisher and dispatcher, and as many worker processes as a case wants."""

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from app.dispatcher import Dispatcher
from app.notifications import FinishedTasks
from app.publisher import Publisher
from benchmarks.servers import fresh_database
from core import batches, tasks
from core.batches import Order
from core.database import make_async_pool
from core.messages import Payload
from core.topology import FINISHED_CHANNEL, QueueName
from tests.rigs.rabbitmq import PrivateRabbitMQ

TIMEOUT_SECONDS = 300.0
FEW = 100
"""So few tasks are not rung for together."""


class Rig:
    """Everything of the pipeline but the HTTP in front of it; calls come from one thread, loops run on another."""

    def __init__(self, database_url: str, broker: PrivateRabbitMQ, folder: Path) -> None:
        self.database_url = database_url
        self.broker = broker
        self.publisher = Publisher(broker.url)
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._dispatching: Future[None] | None = None
        self.client: Connection[Any] = psycopg.connect(database_url, autocommit=True)
        self.listener: Connection[Any] = psycopg.connect(database_url, autocommit=True)
        self.listener.execute(f"LISTEN {FINISHED_CHANNEL}")

    @contextmanager
    def running(self) -> Iterator["Rig"]:
        """Publisher and dispatcher at work."""
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        background = [self._start(self.publisher.run())]
        try:
            while not self.publisher.is_connected:
                time.sleep(0.01)
            yield self
        finally:
            self.dispatch(is_on=False)
            for future in background:
                future.cancel()
            time.sleep(0.1)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self.client.close()
            self.listener.close()

    @contextmanager
    def workers(self, count: int, *, max_batch: int = 32, seconds: float = 0.0) -> Iterator[None]:
        """Worker processes that have said they are ready."""
        environment = {
            **os.environ,
            "DATABASE_URL": self.database_url,
            "RABBITMQ_URL": self.broker.url,
            "ARTIFACTS_URL": str(self._folder),
            "LOG_LEVEL": "info",
        }
        command = [sys.executable, "-m", "benchmarks.idle_worker", str(max_batch), str(seconds)]
        processes = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(count)]
        try:
            for process in processes:
                assert process.stderr is not None
                assert any("listening to the broker" in line for line in process.stderr)
                threading.Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would stop it
            yield
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(30)

    def submit_all(self, payload: Payload, count: int) -> set[str]:
        """Put so many tasks into the table, in one go as `POST /tasks/batch` does, each with an idempotency key; not rung yet.

        Their ids.
        """
        orders = [Order(place, payload, idem_key=str(uuid.uuid4())) for place in range(count)]
        with self.client.transaction():
            submitted = batches.submit(orders, owner="bench").run(self.client)
            tasks.ring([payload.queue]).run(self.client)
        assert len(submitted) == count
        return {str(task.id) for task in submitted.values()}

    def drain(self, task_ids: set[str]) -> float:
        """Let the dispatcher ring until these tasks have ended; tasks a second."""
        started = time.perf_counter()
        self.dispatch(is_on=True)
        self.wait_for(task_ids)
        seconds = time.perf_counter() - started
        self.dispatch(is_on=False)
        return len(task_ids) / seconds

    def wait_for(self, task_ids: set[str]) -> None:
        """Until these tasks have ended. They are told by id: ends that nobody waited for may still be unread."""
        missing = set(task_ids)
        for notification in self.listener.notifies(timeout=TIMEOUT_SECONDS):
            missing.difference_update(notification.payload.split(","))
            if not missing:
                return
        raise TimeoutError(f"{len(missing)} of {len(task_ids)} tasks have not ended")

    def submit_each(self, payload: Payload, count: int) -> set[str]:
        """Ask for so many tasks one after the other, rung by the asker as by the API. Their ids."""
        return {str(self._submit_one(payload)) for _ in range(count)}

    def follow_one(self, payload: Payload) -> float:
        """Milliseconds from asking, as the API asks, until the end of the task is heard of."""
        started = time.perf_counter()
        task_id = self._submit_one(payload)
        for notification in self.listener.notifies(timeout=TIMEOUT_SECONDS):
            if str(task_id) in notification.payload:
                break
        return (time.perf_counter() - started) * 1000

    def _submit_one(self, payload: Payload) -> uuid.UUID:
        submitted = tasks.submit(payload, owner="bench", idem_key=str(uuid.uuid4()), is_rung=self.publisher.is_connected).run(self.client)
        assert submitted is not None
        self._loop.call_soon_threadsafe(partial(self.publisher.ring, payload.queue, submitted.id, due_at=time.monotonic()))
        return submitted.id

    def publish(self, queue: QueueName, count: int) -> float:
        """Confirmed rings a second, each for one task that does not exist."""
        task_ids = [uuid.uuid4() for _ in range(count)]
        started = time.perf_counter()
        for start in range(0, count, FEW):
            failed = self._start(self.publisher.publish(queue, task_ids[start : start + FEW])).result(TIMEOUT_SECONDS)
            assert not failed
        return count / (time.perf_counter() - started)

    def dispatch(self, *, is_on: bool) -> None:
        """Whether the dispatcher is at work."""
        if is_on and self._dispatching is None:
            self._dispatching = self._start(self._dispatch())
        elif not is_on and self._dispatching is not None:
            self._dispatching.cancel()
            self._dispatching = None

    def _start(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _dispatch(self) -> None:
        """As `app.dispatch` does it, schedules left out."""
        async with make_async_pool(self.database_url, max_size=4) as pool:
            dispatcher = Dispatcher(pool, self.publisher)
            await asyncio.gather(dispatcher.run(), FinishedTasks(self.database_url, pool, on_bell=dispatcher.wake).listen())


@contextmanager
def rigged() -> Iterator[Rig]:
    """A rig on fresh servers."""
    with (
        fresh_database() as url,
        tempfile.TemporaryDirectory(prefix="marquee-bench-") as folder,
        PrivateRabbitMQ(Path(folder) / "broker") as broker,
        Rig(url, broker, Path(folder)).running() as rig,
    ):
        yield rig
