"""The broker as the nemesis sees it: rings of its own, and what is left in the queues."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from core.topology import DEAD_EXCHANGE, DEAD_QUEUE, EXCHANGE, QUEUE_NAMES, broker_queue
from ml_worker.consumer import declare


class Broker:
    """Every call is a connection of its own, so that none is left from before a kill."""

    def __init__(self, url: str) -> None:
        self.url = url

    def clear(self) -> None:
        """Remove the queues with everything in them, and declare them anew."""
        with self._channel() as channel:
            for name in (*(broker_queue(queue).name for queue in QUEUE_NAMES), DEAD_QUEUE):
                channel.queue_delete(name)
            for exchange in (EXCHANGE, DEAD_EXCHANGE):
                channel.exchange_delete(exchange)
            declare(channel)

    def publish(self, bodies: Sequence[bytes], *, queue: str = "interactive") -> None:
        """Put messages into a queue as anybody could."""
        with self._channel() as channel:
            channel.confirm_delivery()
            for body in bodies:
                channel.basic_publish(EXCHANGE, queue, body, pika.BasicProperties(delivery_mode=2))

    def ready_count(self) -> int:
        """Messages in the queues of rings that no worker holds; -1 if the broker does not say."""
        try:
            return sum(self._count(broker_queue(queue).name) for queue in QUEUE_NAMES)
        except (AMQPError, OSError):
            return -1

    def dead_count(self) -> int:
        """Messages that were set aside."""
        return self._count(DEAD_QUEUE)

    def take_dead(self) -> list[bytes]:
        """The messages that were set aside, left where they are."""
        bodies = []
        with self._channel() as channel:
            while True:
                method, _, body = channel.basic_get(DEAD_QUEUE)
                if method is None:
                    return bodies
                bodies.append(body)

    def death_reasons(self) -> Counter[str]:
        """Why messages were set aside, as the broker says."""
        reasons = Counter[str]()
        with self._channel() as channel:
            while (got := channel.basic_get(DEAD_QUEUE))[0] is not None:
                reasons[str((got[1].headers or {}).get("x-first-death-reason"))] += 1
        return reasons

    def _count(self, name: str) -> int:
        with self._channel() as channel:
            try:
                return int(channel.queue_declare(name, passive=True).method.message_count)
            except ChannelClosedByBroker:
                return 0  # there is no such queue (any more)

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()
