"""A virtual host of its own on the private broker for each test."""

import uuid
from collections.abc import Iterator

import pytest

from tests.rigs.rabbitmq import PrivateRabbitMQ


@pytest.fixture
def broker_url(rabbitmq: PrivateRabbitMQ) -> Iterator[str]:
    """The URL of an empty virtual host."""
    name = f"test-{uuid.uuid4().hex}"
    rabbitmq.control("add_vhost", name)
    rabbitmq.control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
    yield rabbitmq.url.replace("%2F", name)
    rabbitmq.control("delete_vhost", name)
