"""What lines about tasks carry."""

import uuid
from datetime import UTC, datetime

import structlog

from core.claims import Claimed
from ml_worker.naming import named_in_log


def claimed(correlation_id):
    return Claimed(uuid.uuid4(), "recommend", {}, 1, "alice", 1, 3, 1, "worker", correlation_id, datetime.now(UTC))


def bound(*correlation_ids):
    with named_in_log([claimed(name) for name in correlation_ids]):
        return structlog.contextvars.get_contextvars()


def test_a_task_is_named_with_its_request():
    task = claimed("order-7")
    with named_in_log([task]):
        assert structlog.contextvars.get_contextvars() == {"correlation_id": "order-7", "task_id": str(task.id)}
    assert structlog.contextvars.get_contextvars() == {}


def test_a_batch_names_up_to_five_requests_each_once():
    assert bound("a", "a") == {"correlation_id": "a"}
    assert bound("a", "b", None, "a") == {"correlation_ids": ["a", "b"]}
    assert bound(*"abcdefg") == {"correlation_ids": ["a", "b", "c", "d", "e"]}
    assert bound(None, None) == {}
