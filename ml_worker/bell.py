"""The bell: tells a slot that its queue may have work, so that it need not ask all the time."""

import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psycopg

from core.log import get_logger
from core.topology import BELL_CHANNEL, QueueName

LISTEN_SECONDS = 0.5
RECONNECT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Ring:
    """A task that a broker says may be due, and what the bell needs to settle it, which others that were named with it share."""

    task_id: uuid.UUID
    receipt: Any


class Bell(ABC):
    """Counts rings by queue. A ring is a hint and never a task: lost ones cost latency, extra ones an empty claim."""

    def __init__(self) -> None:
        self._rung = threading.Condition()
        self._counts: dict[str, int] = {}

    @abstractmethod
    def listen(self, stopping: threading.Event) -> None:
        """Receive rings until `stopping` is set; runs on a thread of its own."""

    @property
    @abstractmethod
    def must_poll(self) -> bool:
        """Whether slots look for due tasks themselves, because no ring names them."""

    @property
    @abstractmethod
    def is_connected(self) -> bool:
        """Whether rings arrive now."""

    @property
    @abstractmethod
    def rung_by(self) -> Literal["broker", "database"]:
        """Who rings."""

    def take(self, queue: QueueName, *, limit: int) -> list[Ring]:
        """Up to `limit` rings of the queue that nobody has taken yet."""
        return []

    def put_back(self, queue: QueueName, rings: Sequence[Ring]) -> None:
        """Rings that were taken and are to be taken again, before all others."""

    def settle(self, rings: Sequence[Ring], *, is_understood: bool = True) -> None:
        """Rings that have done their work; those not understood go to the dead queue."""

    def stop_taking(self) -> None:
        """Take no more rings and give back those that nobody works on; the others can still be settled."""

    def count(self, queue: QueueName) -> int:
        """How often the queue was rung; take it before a claim and hand it to `wait` if the claim found nothing."""
        with self._rung:
            return self._counts.get(queue, 0)

    def wait(self, queue: QueueName, *, since: int, timeout: float) -> None:
        """Return when the queue is rung after `since` was counted, or when `timeout` seconds are over."""
        with self._rung:
            self._rung.wait_for(lambda: self._counts.get(queue, 0) != since, timeout)

    def ring(self, *queues: str) -> None:
        """Wake the slots of these queues."""
        with self._rung:
            for queue in queues:
                self._counts[queue] = self._counts.get(queue, 0) + 1
            self._rung.notify_all()


class DatabaseBell(Bell):
    """Rings with PostgreSQL's `NOTIFY`: the bell where there is no broker."""

    def __init__(self, database_url: str, *, queues: tuple[QueueName, ...]) -> None:
        super().__init__()
        self._database_url = database_url
        self._queues = queues
        self._is_connected = False

    @property
    def must_poll(self) -> bool:
        return True

    @property
    def is_connected(self) -> bool:
        return self._is_connected

    @property
    def rung_by(self) -> Literal["broker", "database"]:
        return "database"

    def listen(self, stopping: threading.Event) -> None:
        log = get_logger(__name__)
        while not stopping.is_set():
            try:
                self._listen_once(stopping)
            except psycopg.OperationalError as error:
                self._is_connected = False
                log.warning("the bell lost the database; polling until it is back", reason=str(error).strip())
                stopping.wait(RECONNECT_SECONDS)

    def _listen_once(self, stopping: threading.Event) -> None:
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            connection.execute(f"LISTEN {BELL_CHANNEL}")
            self._is_connected = True
            self.ring(*self._queues)  # whatever came before we listened
            while not stopping.is_set():
                for notification in connection.notifies(timeout=LISTEN_SECONDS):
                    self.ring(notification.payload)
