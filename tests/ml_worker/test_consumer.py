"""The bell that RabbitMQ rings, as far as it needs no RabbitMQ; the rest is in tests/integration."""

import uuid

from ml_worker.bell import Ring
from ml_worker.consumer import BrokerBell


def make_bell() -> BrokerBell:
    return BrokerBell("amqp://guest:guest@127.0.0.1:1/", prefetch={"interactive": 4})


def test_rings_put_back_are_taken_first_and_wake_a_slot():
    bell = make_bell()
    first, second, third = (Ring(uuid.uuid4(), None) for _ in range(3))
    bell.put_back("interactive", [third])
    seen = bell.count("interactive")
    bell.put_back("interactive", [first, second])
    assert bell.count("interactive") != seen
    assert bell.take("interactive", limit=10) == [first, second, third]


def test_putting_nothing_back_wakes_nobody():
    """A slot that woke itself with every empty claim would ask the database without a pause."""
    bell = make_bell()
    seen = bell.count("interactive")
    bell.put_back("interactive", [])
    assert bell.count("interactive") == seen


def test_without_a_connection_slots_must_poll():
    assert make_bell().must_poll
