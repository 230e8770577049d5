"""What crosses the broker: a ring, which names a task that may be due and nothing else."""

import json
import uuid
from typing import Final

VERSION: Final = 1
MAX_BYTES: Final = 256


class RingNotUnderstood(Exception):
    """A message that is no ring of a version this process knows; the message says why."""


def encode(task_id: uuid.UUID) -> bytes:
    """The ring for a task."""
    return b'{"v":%d,"id":"%s"}' % (VERSION, str(task_id).encode())


def parse(body: bytes) -> uuid.UUID:
    """The id of the task a ring names. Raises `RingNotUnderstood`."""
    if len(body) > MAX_BYTES:
        raise RingNotUnderstood(f"{len(body):,} bytes are too many for a ring")
    try:
        told = json.loads(body)
    except ValueError as error:
        raise RingNotUnderstood(f"not JSON: {error}") from None
    if not isinstance(told, dict) or told.keys() != {"v", "id"}:
        raise RingNotUnderstood("a ring has the members v and id")
    if told["v"] != VERSION:
        raise RingNotUnderstood(f"version {told['v']!r} is not understood; this process knows version {VERSION}")
    try:
        return uuid.UUID(told["id"])
    except (ValueError, AttributeError, TypeError):
        raise RingNotUnderstood(f"{str(told['id'])[:50]!r} is no task id") from None
