"""Queues, exchanges and notification channels by name: data only, declared the same by both sides."""

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

QueueName = Literal["interactive", "batch", "train"]
QUEUE_NAMES: Final[tuple[QueueName, ...]] = get_args(QueueName)

BELL_CHANNEL: Final = "marquee_bell"
"""`NOTIFY` with a queue's name when a task of that queue becomes due."""

FINISHED_CHANNEL: Final = "marquee_finished"
"""`NOTIFY` with comma-separated task ids when tasks reach a terminal state."""

LISTS_CHANNEL: Final = "marquee_lists"
"""`NOTIFY` with comma-separated user ids when their lists were stored."""

EXCHANGE: Final = "marquee"
"""Direct and durable; the routing key is the name of a queue without its prefix."""

DEAD_EXCHANGE: Final = "marquee.dead"
"""Fan-out and durable; rings that cannot be understood end in the one queue behind it."""

DEAD_QUEUE: Final = "marquee.dead"


@dataclass(frozen=True, slots=True)
class BrokerQueue:
    """A queue of the broker and what it must be declared with."""

    name: str
    arguments: dict[str, Any]


def broker_queue(queue: QueueName) -> BrokerQueue:
    """The broker's queue of rings for a queue of tasks. Nothing in it is newer than RabbitMQ 3.10.

    A ring is refused rather than an older one dropped when the queue is full, and one that is delivered again and
    again is set aside: the task it stands for is safe in the table either way. The limit is high because a worker that
    dies gives back all it held: rings are delivered again for every death near them, and 20 came up once in 1,000 kills.
    """
    return BrokerQueue(
        f"marquee.{queue}",
        {
            "x-queue-type": "quorum",
            "x-delivery-limit": 1_000,
            "x-dead-letter-exchange": DEAD_EXCHANGE,
            "x-max-length": 100_000,
            "x-overflow": "reject-publish",
        },
    )


def dead_queue() -> BrokerQueue:
    """The queue of rings that nobody understood; the oldest go when there are too many."""
    return BrokerQueue(DEAD_QUEUE, {"x-queue-type": "quorum", "x-max-length": 10_000})
