"""Submitting many tasks at once, as statements over sets: what `core.tasks.submit` decides for one, decided for thousands."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from psycopg.types.json import Jsonb

from core.messages import Payload
from core.statement import Row, Statement
from core.tasks import Submitted, request_hash


@dataclass(frozen=True, slots=True)
class Order:
    """One task of a batch, at its place in it."""

    place: int
    payload: Payload
    idem_key: str | None = None
    deadline_seconds: float | None = None
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    """The id of the task if it is created."""


_GIVEN = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(%(places)s::int[], %(ids)s::uuid[], %(kinds)s::text[], %(queues)s::text[], %(payloads)s::jsonb[],
                         %(versions)s::int[], %(idem_keys)s::text[], %(hashes)s::text[], %(exclusive_keys)s::text[],
                         %(coalesce_keys)s::text[], %(max_attempts)s::int[], %(deadlines)s::float8[])
    AS given (place, id, kind, queue, payload, payload_version, idem_key, request_hash, exclusive_key, coalesce_key, max_attempts,
              deadline_seconds)
)"""

# Unlike a single submission this locks no queued twin, because nothing else is written in the transaction that a worker
# would have to see. What has conflicting keys is inserted in the order of the keys, so that two batches cannot deadlock,
# and is dated in the order of the batch.
_SUBMIT = (
    _GIVEN
    + """
, twins AS (
    SELECT place, twin.id FROM given CROSS JOIN LATERAL (
        SELECT id FROM tasks
        WHERE tasks.kind = given.kind AND tasks.coalesce_key = given.coalesce_key AND state = 'queued' AND NOT cancel_requested
          AND available_at <= clock_timestamp() AND deadline_at IS NULL
        LIMIT 1) AS twin
    WHERE given.idem_key IS NULL
), chosen AS (
    SELECT * FROM given
    WHERE NOT EXISTS (SELECT 1 FROM twins WHERE twins.place = given.place)
      AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.owner = %(owner)s AND tasks.idem_key = given.idem_key)
    ORDER BY place LIMIT %(room)s
), inserted AS (
    INSERT INTO tasks (id, kind, queue, payload, payload_version, owner, idem_key, request_hash, exclusive_key, coalesce_key,
                       max_attempts, deadline_at, correlation_id, created_at, available_at)
    SELECT id, kind, queue, payload, payload_version, %(owner)s, idem_key, request_hash, exclusive_key, coalesce_key,
           max_attempts, clock_timestamp() + deadline_seconds * interval '1 second', %(correlation_id)s,
           now() + place * interval '1 microsecond', now() + place * interval '1 microsecond'
    FROM chosen ORDER BY exclusive_key, idem_key, place
    ON CONFLICT DO NOTHING
    RETURNING id
)
SELECT place, id, 'created' AS outcome FROM given JOIN inserted USING (id)
UNION ALL
SELECT place, id, 'coalesced' FROM twins
"""
)

_FIND_TWINS = (
    _GIVEN
    + """
SELECT place, twin.id, twin.outcome FROM given CROSS JOIN LATERAL (
    SELECT id, CASE WHEN tasks.request_hash = given.request_hash THEN 'repeated' ELSE 'conflicting' END AS outcome, 1 AS rank
    FROM tasks WHERE tasks.owner = %(owner)s AND tasks.idem_key = given.idem_key
    UNION ALL
    SELECT id, 'active', 2 FROM tasks
    WHERE tasks.kind = given.kind AND tasks.exclusive_key = given.exclusive_key AND state IN ('queued', 'running')
    ORDER BY rank LIMIT 1) AS twin
"""
)


def submit(
    orders: Sequence[Order], *, owner: str, correlation_id: str | None = None, room: int | None = None
) -> Statement[dict[int, Submitted]]:
    """Insert tasks, at most `room` of them, and find the queued ones that promise the same; rings nobody.

    Maps places to what became of them. For a place that is missing a unique key was in the way, which `find_twins` tells,
    or there was no room.
    """
    return Statement(_SUBMIT, {**_given(orders), "owner": owner, "correlation_id": correlation_id, "room": room}, _by_place)


def find_twins(orders: Sequence[Order], *, owner: str) -> Statement[dict[int, Submitted]]:
    """The tasks that kept `submit` from inserting these: same idempotency key, or the active one of an exclusive kind."""
    return Statement(_FIND_TWINS, {**_given(orders), "owner": owner}, _by_place)


def _by_place(rows: list[Row]) -> dict[int, Submitted]:
    return {row["place"]: Submitted(row["id"], row["outcome"]) for row in rows}


def _given(orders: Sequence[Order]) -> dict[str, object]:
    payloads = [order.payload for order in orders]
    return {
        "places": [order.place for order in orders],
        "ids": [order.id for order in orders],
        "kinds": [payload.kind for payload in payloads],
        "queues": [payload.queue for payload in payloads],
        "payloads": [Jsonb(payload.model_dump(mode="json")) for payload in payloads],
        "versions": [payload.version for payload in payloads],
        "idem_keys": [order.idem_key for order in orders],
        "hashes": [request_hash(payload) for payload in payloads],
        "exclusive_keys": [payload.exclusive_key for payload in payloads],
        "coalesce_keys": [payload.coalesce_key for payload in payloads],
        "max_attempts": [payload.max_attempts for payload in payloads],
        "deadlines": [order.deadline_seconds for order in orders],
    }
