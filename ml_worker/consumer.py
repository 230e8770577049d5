"""The bell that RabbitMQ rings: receives rings on a thread of its own, hands them over, settles them."""

import ssl
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Literal

import pika
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import AMQPError, ChannelClosedByBroker, ProbableAccessDeniedError, ProbableAuthenticationError
from pika.spec import Basic, BasicProperties

from core import rings
from core.log import get_logger
from core.rings import RingNotUnderstood
from core.topology import DEAD_EXCHANGE, EXCHANGE, QUEUE_NAMES, QueueName, broker_queue, dead_queue
from ml_worker.bell import Bell, Ring

LOOK_SECONDS = 0.5
HEARTBEAT_SECONDS = 20
MAX_PAUSE_SECONDS = 10.0
CONNECTION_ERRORS = (AMQPError, OSError, ssl.SSLError)

log = get_logger(__name__)


class BrokerBell(Bell):
    """Consumes the queues of rings; `prefetch` says how many messages of each this worker may hold unsettled."""

    def __init__(self, url: str, *, prefetch: Mapping[QueueName, int]) -> None:
        super().__init__()
        self._parameters = pika.URLParameters(url)
        self._parameters.heartbeat = HEARTBEAT_SECONDS
        self._parameters.client_properties = {"connection_name": "marquee worker"}
        self._prefetch = prefetch
        self._held: dict[QueueName, deque[Ring]] = {queue: deque() for queue in prefetch}
        self._unsettled: dict[BlockingChannel, dict[int, int]] = {}
        """How many of its tasks each message still waits for, by delivery tag, in the order they came; for the listening thread only."""
        self._received: set[QueueName] = set()
        self._is_done_taking = threading.Event()
        self._is_connected = self._was_connected = False

    @property
    def must_poll(self) -> bool:
        return not self._is_connected

    @property
    def is_connected(self) -> bool:
        return self._is_connected

    @property
    def rung_by(self) -> Literal["broker", "database"]:
        return "broker"

    def listen(self, stopping: threading.Event) -> None:
        pause = LOOK_SECONDS
        while not stopping.is_set():
            try:
                self._consume(stopping)
            except CONNECTION_ERRORS as error:
                pause = LOOK_SECONDS if self._was_connected else min(2 * pause, MAX_PAUSE_SECONDS)
                log.warning("no broker; polling until it is back", broker=self._address, reason=explain(error), retry_in_seconds=pause)
                self._was_connected = False
                self.ring(*self._prefetch)  # whoever waits for rings shall poll now
                stopping.wait(pause)

    def take(self, queue: QueueName, *, limit: int) -> list[Ring]:
        held = self._held[queue]
        taken: list[Ring] = []
        with suppress(IndexError):
            while len(taken) < limit:
                taken.append(held.popleft())
        return taken

    def put_back(self, queue: QueueName, rings: Sequence[Ring]) -> None:
        if rings:  # else the slot would ring for itself for ever
            self._held[queue].extendleft(reversed(rings))
            self.ring(queue)

    def settle(self, rings: Sequence[Ring], *, is_understood: bool = True) -> None:
        by_channel: dict[BlockingChannel, list[int]] = {}
        for ring in rings:
            channel, tag = ring.receipt
            by_channel.setdefault(channel, []).append(tag)
        for channel, tags in by_channel.items():
            with suppress(AMQPError):  # a connection that is gone gives its rings to others
                channel.connection.add_callback_threadsafe(partial(self._settle, channel, tags, is_understood=is_understood))

    def stop_taking(self) -> None:
        self._is_done_taking.set()

    def _consume(self, stopping: threading.Event) -> None:
        connection = BlockingConnection(self._parameters)
        self._unsettled.clear()
        try:
            declare(connection.channel())
            channels = {queue: self._open(connection, queue) for queue in self._prefetch}
            self._was_connected = self._is_connected = True
            log.info("listening to the broker", broker=self._address, queues=list(channels))
            while not stopping.is_set() and not self._is_done_taking.is_set():
                connection.process_data_events(time_limit=LOOK_SECONDS)
                self._wake()
            for queue, channel in channels.items():
                self._give_back(queue, channel)
            while not stopping.is_set():
                connection.process_data_events(time_limit=LOOK_SECONDS)
            connection.process_data_events(time_limit=0)  # settles what the last batches left
        finally:
            self._is_connected = False
            for held in self._held.values():
                held.clear()  # the broker gives them to whoever consumes next
            if connection.is_open:
                connection.close()

    def _open(self, connection: BlockingConnection, queue: QueueName) -> BlockingChannel:
        channel = connection.channel()
        self._unsettled[channel] = {}
        channel.basic_qos(prefetch_count=self._prefetch[queue])
        channel.basic_consume(broker_queue(queue).name, partial(self._receive, queue), consumer_tag=queue)
        return channel

    def _receive(self, queue: QueueName, channel: BlockingChannel, delivery: Basic.Deliver, _: BasicProperties, body: bytes) -> None:
        tag = delivery.delivery_tag
        try:
            named = rings.parse(body)
        except RingNotUnderstood as error:
            self._unsettled[channel][tag] = 1
            log.warning("a message that is no ring was set aside", queue=queue, reason=str(error))
            self._settle(channel, [tag], is_understood=False)
            return
        self._unsettled[channel][tag] = len(named)
        self._held[queue].extend(Ring(task_id, (channel, tag)) for task_id in named)
        self._received.add(queue)

    def _wake(self) -> None:
        """Wake slots once for all rings that came together."""
        if self._received:
            self.ring(*self._received)
            self._received.clear()

    def _give_back(self, queue: QueueName, channel: BlockingChannel) -> None:
        channel.basic_cancel(queue)
        # Where some of the tasks of a message are in work already, whoever gets it next finds them taken.
        for tag in sorted({ring.receipt[1] for ring in self.take(queue, limit=self._prefetch[queue] * rings.MOST)}):
            if self._unsettled[channel].pop(tag, None) is not None:
                channel.basic_nack(tag, requeue=True)

    def _settle(self, channel: BlockingChannel, tags: Sequence[int], *, is_understood: bool) -> None:
        if not channel.is_open:
            return
        if is_understood:
            self._acknowledge(channel, self._ended(channel, tags))
            return
        for tag in sorted(set(tags)):
            if self._unsettled[channel].pop(tag, None) is not None:
                channel.basic_reject(tag, requeue=False)

    def _ended(self, channel: BlockingChannel, tags: Sequence[int]) -> list[int]:
        """The messages that wait for no further task, now that one task of each of these is settled."""
        unsettled, ended = self._unsettled[channel], []
        for tag in tags:
            if tag not in unsettled:
                continue  # given back or set aside because of another of its tasks
            unsettled[tag] -= 1
            if not unsettled[tag]:
                del unsettled[tag]
                ended.append(tag)
        return ended

    def _acknowledge(self, channel: BlockingChannel, tags: Sequence[int]) -> None:
        """What came before all that is still open is acknowledged at once: one write and one entry in the log of a quorum queue."""
        if not tags:
            return
        oldest = next(iter(self._unsettled[channel]), max(tags) + 1)
        if before := [tag for tag in tags if tag < oldest]:
            channel.basic_ack(max(before), multiple=True)
        for tag in tags:
            if tag > oldest:
                channel.basic_ack(tag)

    @property
    def _address(self) -> str:
        return f"{self._parameters.host}:{self._parameters.port}/{self._parameters.virtual_host.lstrip('/')}"


def declare(channel: BlockingChannel) -> None:
    """Declare exchanges and queues as `core.topology` has them; harmless to repeat."""
    channel.exchange_declare(EXCHANGE, "direct", durable=True)
    channel.exchange_declare(DEAD_EXCHANGE, "fanout", durable=True)
    dead = dead_queue()
    channel.queue_declare(dead.name, durable=True, arguments=dead.arguments)
    channel.queue_bind(dead.name, DEAD_EXCHANGE)
    for name in QUEUE_NAMES:
        queue = broker_queue(name)
        channel.queue_declare(queue.name, durable=True, arguments=queue.arguments)
        channel.queue_bind(queue.name, EXCHANGE, routing_key=name)


def explain(error: BaseException) -> str:
    """Why there is no connection, in one sentence without secrets."""
    if isinstance(error, ProbableAuthenticationError):
        return "user name or password are refused"
    if isinstance(error, ProbableAccessDeniedError):
        return "the virtual host does not exist or is not open to this user"
    if isinstance(error, ChannelClosedByBroker):
        # For a queue that exists with other arguments this names the queue and the argument.
        return str(error.reply_text)
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason}"
    return str(error) or type(error).__name__
