"""Rings: what crosses the broker, and which tasks share one."""

import json
import uuid

import pytest

from core import rings
from core.rings import RingNotUnderstood
from ml_worker.handlers.registry import HANDLERS

TASK_IDS = [uuid.UUID(int=number) for number in range(1000)]


@pytest.mark.parametrize("count", [1, 2, rings.MOST])
def test_a_ring_names_its_tasks_in_order(count):
    body = rings.encode(*TASK_IDS[:count])
    assert rings.parse(body) == TASK_IDS[:count]
    assert len(body) <= rings.MAX_BYTES


def test_the_ring_of_one_task_is_the_one_that_older_workers_know():
    assert json.loads(rings.encode(TASK_IDS[7])) == {"v": 1, "id": str(TASK_IDS[7])}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "not JSON"),
        (b"[]", "has the member v"),
        (b'{"v":3,"id":"x"}', "version 3 is not understood"),
        (b'{"v":1,"ids":[]}', "members v and id"),
        (b'{"v":2,"ids":[]}', "which are some"),
        (b'{"v":2,"ids":"00000000-0000-0000-0000-000000000001"}', "which are some"),
        (b'{"v":2,"ids":["x"]}', "'x' is no task id"),
        (b'{"v":1,"id":7}', "'7' is no task id"),
        (b" " * (rings.MAX_BYTES + 1), "bytes are too many"),
    ],
)
def test_what_is_no_ring_is_refused_with_the_reason(body, why):
    with pytest.raises(RingNotUnderstood, match=why):
        rings.parse(body)


@pytest.mark.parametrize(
    ("queue", "count", "largest"), [("interactive", 1, 1), ("interactive", 100, 1), ("interactive", 1000, 15), ("batch", 1000, 1)]
)
def test_only_a_backlog_that_is_worked_on_in_batches_is_rung_for_together(queue, count, largest):
    groups = rings.together(queue, TASK_IDS[:count])
    assert [task_id for group in groups for task_id in group] == TASK_IDS[:count]
    assert max(map(len, groups)) == largest


def test_tasks_that_share_a_ring_are_of_kinds_that_are_claimed_together():
    """Else one worker would hold tasks that others have time for."""
    for handler in HANDLERS.values():
        is_rung_together = len(rings.together(handler.payload.queue, TASK_IDS)) < len(TASK_IDS)
        assert not is_rung_together or handler.max_batch > 1, handler.payload.kind
