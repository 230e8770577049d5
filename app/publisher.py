"""Rings the broker: one connection that mends itself, confirmed publishing, and a buffer for rings that may be lost."""

import asyncio
import ssl
import time
import uuid
from collections.abc import Sequence
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange
from aio_pika.exceptions import AMQPError
from yarl import URL

from app.metrics import DispatcherMetrics
from core import rings
from core.log import get_logger
from core.topology import DEAD_EXCHANGE, EXCHANGE, QUEUE_NAMES, QueueName, broker_queue, dead_queue

CONNECT_SECONDS: Final = 5.0
PUBLISH_SECONDS: Final = 5.0
MAX_PAUSE_SECONDS: Final = 10.0
IN_FLIGHT: Final = 128
BUFFERED: Final = 10_000
CONNECTION_ERRORS: Final = (AMQPError, OSError, ssl.SSLError, TimeoutError, ConnectionError)

log = get_logger(__name__)


class Publisher:
    """Keep `run` running; `ring` and `publish` work while `is_connected`."""

    def __init__(self, url: str, *, metrics: DispatcherMetrics | None = None) -> None:
        self._url = URL(url)
        self._exchange: AbstractExchange | None = None
        self._metrics = metrics or DispatcherMetrics()
        self._buffer: asyncio.Queue[tuple[QueueName, uuid.UUID, float]] = asyncio.Queue(BUFFERED)

    @property
    def is_connected(self) -> bool:
        """Whether the broker takes rings now."""
        return self._exchange is not None

    async def run(self) -> None:
        """Stay connected until cancelled."""
        pause = 0.5
        while True:
            try:
                await self._serve()
                pause = 0.5
            except CONNECTION_ERRORS as error:
                log.warning("no broker; workers poll meanwhile", broker=self._address, reason=_explain(error), retry_in_seconds=pause)
            finally:
                self._exchange = None
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def ring(self, queue: QueueName, task_id: uuid.UUID, *, due_at: float) -> None:
        """Ring soon, if there is room; the dispatcher rings for what is lost here. `due_at` by `time.monotonic()`."""
        if self.is_connected and not self._buffer.full():
            self._buffer.put_nowait((queue, task_id, due_at))

    async def publish(self, queue: QueueName, task_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
        """Ring for these tasks and wait for the broker's word; returns those it did not take."""
        failed = await self._publish_all(queue, task_ids)
        self._metrics.rings.labels(queue, "published").inc(len(task_ids) - len(failed))
        self._metrics.rings.labels(queue, "failed").inc(len(failed))
        return failed

    async def _publish_all(self, queue: QueueName, task_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
        failed: list[Sequence[uuid.UUID]] = []
        groups = rings.together(queue, task_ids)
        for start in range(0, len(groups), IN_FLIGHT):
            part = groups[start : start + IN_FLIGHT]
            answers = await asyncio.gather(*(self._publish_one(queue, group) for group in part))
            failed += [group for group, is_taken in zip(part, answers, strict=True) if not is_taken]
            if len(failed) > IN_FLIGHT // 2:  # it does not answer: the rest would only wait as long
                failed += groups[start + IN_FLIGHT :]
                break
        return [task_id for group in failed for task_id in group]

    async def _publish_one(self, queue: QueueName, task_ids: Sequence[uuid.UUID]) -> bool:
        exchange = self._exchange
        if exchange is None:
            return False
        message = aio_pika.Message(rings.encode(*task_ids), delivery_mode=aio_pika.DeliveryMode.PERSISTENT, content_type="application/json")
        try:
            # Mandatory, so that a ring without a queue is an error; with a time-out, because a broker short of memory answers never.
            await exchange.publish(message, routing_key=queue, mandatory=True, timeout=PUBLISH_SECONDS)
        except CONNECTION_ERRORS as error:
            log.debug("ring not published", queue=queue, task_ids=[*map(str, task_ids)], reason=_explain(error))
            return False
        return True

    async def _serve(self) -> None:
        lost = asyncio.Event()
        connection = await aio_pika.connect(self._url, timeout=CONNECT_SECONDS, client_properties={"connection_name": "marquee app"})
        connection.close_callbacks.add(lambda *_: lost.set())
        try:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            channel.close_callbacks.add(lambda *_: lost.set())
            await declare(channel)
            self._exchange = await channel.get_exchange(EXCHANGE, ensure=False)
            log.info("ringing through the broker", broker=self._address)
            emptying = asyncio.create_task(self._empty_buffer())
            try:
                await lost.wait()
            finally:
                emptying.cancel()
            log.warning("the broker is gone", broker=self._address)
        finally:
            self._exchange = None
            await asyncio.wait_for(connection.close(), CONNECT_SECONDS)

    async def _empty_buffer(self) -> None:
        while True:
            queue, task_id, due_at = await self._buffer.get()
            waiting: dict[QueueName, dict[uuid.UUID, float]] = {queue: {task_id: due_at}}
            while not self._buffer.empty():
                queue, task_id, due_at = self._buffer.get_nowait()
                waiting.setdefault(queue, {})[task_id] = due_at
            for queue, rung in waiting.items():
                failed = set(await self.publish(queue, list(rung)))
                now = time.monotonic()
                for due_at in (at for task_id, at in rung.items() if task_id not in failed):
                    self._metrics.ring_lag.labels("api").observe(now - due_at)

    @property
    def _address(self) -> str:
        return f"{self._url.host}:{self._url.port or 5672}{self._url.raw_path}"


async def declare(channel: AbstractChannel) -> None:
    """Declare exchanges and queues as `core.topology` has them; harmless to repeat."""
    exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.DIRECT, durable=True)
    dead_exchange = await channel.declare_exchange(DEAD_EXCHANGE, aio_pika.ExchangeType.FANOUT, durable=True)
    dead = dead_queue()
    await (await channel.declare_queue(dead.name, durable=True, arguments=dead.arguments)).bind(dead_exchange)
    for name in QUEUE_NAMES:
        queue = broker_queue(name)
        await (await channel.declare_queue(queue.name, durable=True, arguments=queue.arguments)).bind(exchange, routing_key=name)


def _explain(error: BaseException) -> str:
    """In one line; for a queue that exists with other arguments RabbitMQ names the queue and the argument."""
    return (str(error).strip().splitlines() or [""])[0] or type(error).__name__
