"""Submitting many tasks in one request: a bad row never costs the good ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from psycopg import AsyncConnection

from app.errors import Problem, UserNotFound
from app.faults import Unexpected
from app.quota import QueueQuota
from app.task_errors import IdempotencyKeyReused, TaskAlreadyActive, TooManyQueuedTasks
from core import batches, tasks
from core.batches import Order
from core.messages import RecommendPayload
from core.statement import Statement
from core.tasks import Submitted

ROWS_PER_STATEMENT: Final = 2000

Answers = dict[int, Submitted | Problem]


async def submit_batch(
    connection: AsyncConnection[Any], orders: Sequence[Order], *, owner: str, quota: QueueQuota | None, correlation_id: str
) -> Answers:
    """What became of each order, by its place; without a quota there is any number.

    The problem of an order is `UserNotFound`, `IdempotencyKeyReused`, `TaskAlreadyActive` or `TooManyQueuedTasks`.
    """
    answers = await _refuse_for_nobody(connection, orders)
    leaders, followers = _divided([order for order in orders if order.place not in answers])
    room = await quota.room(connection, owner) if quota else None
    for start in range(0, len(leaders), ROWS_PER_STATEMENT):
        chunk = leaders[start : start + ROWS_PER_STATEMENT]
        made = await _submit(connection, chunk, owner=owner, correlation_id=correlation_id, room=room)
        room = _left(room, made)
        answers |= made
    for place, leader in followers.items():
        answer = answers[leader]
        answers[place] = replace(answer, outcome="coalesced") if isinstance(answer, Submitted) else answer
    created = {order.payload.queue for order in leaders if _is_created(answers[order.place])}
    await tasks.ring(sorted(created)).run_async(connection)
    return answers


async def _refuse_for_nobody(connection: AsyncConnection[Any], orders: Sequence[Order]) -> Answers:
    wanted = {order.place: order.payload.user_id for order in orders if isinstance(order.payload, RecommendPayload)}
    statement = Statement(
        "SELECT id FROM users WHERE id = ANY(%(ids)s)", {"ids": list(set(wanted.values()))}, lambda rows: {row["id"] for row in rows}
    )
    known = await statement.run_async(connection)
    return {place: UserNotFound(user_id) for place, user_id in wanted.items() if user_id not in known}


def _divided(orders: Sequence[Order]) -> tuple[list[Order], dict[int, int]]:
    """The orders to submit, and of those that an earlier one promises too, the place of that one."""
    promised: dict[tuple[str, str], int] = {}
    leaders: list[Order] = []
    followers: dict[int, int] = {}
    for order in orders:
        key = (order.payload.kind, order.payload.coalesce_key) if order.payload.coalesce_key is not None else None
        if order.idem_key is not None or key is None:
            leaders.append(order)
        elif key in promised:
            followers[order.place] = promised[key]
        else:
            leaders.append(order)
            if order.deadline_seconds is None:  # one that may expire is no promise
                promised[key] = order.place
    return leaders, followers


async def _submit(
    connection: AsyncConnection[Any], orders: Sequence[Order], *, owner: str, correlation_id: str, room: int | None
) -> Answers:
    answers: Answers = {}
    pending = orders
    for _attempt in range(3):
        made = await batches.submit(pending, owner=owner, correlation_id=correlation_id, room=room).run_async(connection)
        room = _left(room, made)
        pending = [order for order in pending if order.place not in made]
        if pending:
            made |= await batches.find_twins(pending, owner=owner).run_async(connection)
        answers |= {order.place: _answer(order, made[order.place]) for order in orders if order.place in made}
        pending = [order for order in pending if order.place not in made]
        if not pending or room == 0:
            break
        # Otherwise what was in the way of these has just ended.
    return answers | {order.place: TooManyQueuedTasks() if room == 0 else Unexpected() for order in pending}


def _left(room: int | None, made: Mapping[int, Submitted | Problem]) -> int | None:
    return None if room is None else room - sum(_is_created(answer) for answer in made.values())


def _answer(order: Order, submitted: Submitted) -> Submitted | Problem:
    if submitted.outcome == "conflicting":
        return IdempotencyKeyReused(submitted.id)
    if submitted.outcome == "active":
        return TaskAlreadyActive(order.payload.kind, submitted.id)
    return submitted


def _is_created(answer: Submitted | Problem) -> bool:
    return isinstance(answer, Submitted) and answer.outcome == "created"
