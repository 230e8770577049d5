"""What crosses the broker: a ring, which names tasks that may be due and nothing else."""

import json
import uuid
from collections.abc import Sequence
from typing import Final

from core.topology import QueueName

MOST: Final = 16
"""At most so many tasks are named by one ring."""
MAX_BYTES: Final = 1024

# Tasks of this queue are worked on in batches. Those of the others take a worker for long: each may go to another one.
_BATCHED: Final[frozenset[QueueName]] = frozenset({"interactive"})
# Of fewer tasks each has a ring of its own, so that all workers get some of them.
_SPREAD: Final = 64


class RingNotUnderstood(Exception):
    """A message that is no ring of a version this process knows; the message says why."""


def together(queue: QueueName, task_ids: Sequence[uuid.UUID]) -> list[Sequence[uuid.UUID]]:
    """Which of these tasks share a ring: none of a few, up to `MOST` of a backlog that is worked on in batches.

    A message costs the broker and both its clients more than a task costs the worker that takes it with others.
    """
    size = max(1, min(MOST, len(task_ids) // _SPREAD)) if queue in _BATCHED else 1
    return [task_ids[start : start + size] for start in range(0, len(task_ids), size)]


def encode(*task_ids: uuid.UUID) -> bytes:
    """The ring for some tasks: of version 1 for one, of version 2 for several."""
    if len(task_ids) == 1:
        return b'{"v":1,"id":"%s"}' % str(task_ids[0]).encode()
    return json.dumps({"v": 2, "ids": [str(task_id) for task_id in task_ids]}, separators=(",", ":")).encode()


def parse(body: bytes) -> list[uuid.UUID]:
    """The ids of the tasks that a ring names. Raises `RingNotUnderstood`."""
    if len(body) > MAX_BYTES:
        raise RingNotUnderstood(f"{len(body):,} bytes are too many for a ring")
    try:
        told = json.loads(body)
    except ValueError as error:
        raise RingNotUnderstood(f"not JSON: {error}") from None
    if not isinstance(told, dict) or "v" not in told:
        raise RingNotUnderstood("a ring has the member v")
    if told["v"] == 1 and told.keys() == {"v", "id"}:
        return [_task_id(told["id"])]
    if told["v"] == 2 and told.keys() == {"v", "ids"} and isinstance(told["ids"], list) and told["ids"]:  # noqa: PLR2004
        return [_task_id(named) for named in told["ids"]]
    if told["v"] in {1, 2}:
        raise RingNotUnderstood("a ring has the members v and id, or from version 2 on v and ids, which are some")
    raise RingNotUnderstood(f"version {told['v']!r} is not understood; this process knows versions 1 and 2")


def _task_id(named: object) -> uuid.UUID:
    try:
        return uuid.UUID(named)  # type: ignore[arg-type]
    except (ValueError, AttributeError, TypeError):
        raise RingNotUnderstood(f"{str(named)[:50]!r} is no task id") from None
