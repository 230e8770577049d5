"""Queues and notification channels by name: data only, the same on both sides."""

from typing import Final, Literal, get_args

QueueName = Literal["interactive", "batch", "train"]
QUEUE_NAMES: Final[tuple[QueueName, ...]] = get_args(QueueName)

BELL_CHANNEL: Final = "marquee_bell"
"""`NOTIFY` with a queue's name when a task of that queue becomes due."""

FINISHED_CHANNEL: Final = "marquee_finished"
"""`NOTIFY` with comma-separated task ids when tasks reach a terminal state."""
