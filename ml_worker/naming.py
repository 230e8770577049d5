"""Every log line about a task carries the correlation id of the request that asked for it, whoever writes the line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from core.claims import Claimed

SHOWN: Final = 5


@contextmanager
def named_in_log(tasks: Sequence[Claimed]) -> Iterator[None]:
    """Bind `correlation_id` and `task_id` to all lines of this thread; for several tasks `correlation_ids`, up to five of them."""
    names: dict[str, object] = {}
    asked_by = list(dict.fromkeys(task.correlation_id for task in tasks if task.correlation_id))
    if len(asked_by) == 1:
        names["correlation_id"] = asked_by[0]
    elif asked_by:
        names["correlation_ids"] = asked_by[:SHOWN]
    if len(tasks) == 1:
        names["task_id"] = str(tasks[0].id)
    with structlog.contextvars.bound_contextvars(**names):
        yield
