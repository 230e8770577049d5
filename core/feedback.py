"""What became of the entries that were shown, as statements: impressions, clicks, conversions, and reports of them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from core.list_ids import Surface, origin_of
from core.statement import Row, Statement

Event = Literal["impression", "click", "conversion"]


@dataclass(frozen=True, slots=True)
class Told:
    """That an entry of a list was shown or clicked, or led to an interaction. Without a place: it is taken from the impression."""

    list_id: uuid.UUID
    item_id: str
    user_id: str | None
    position: int | None = None
    occurred_at: datetime | None = None


# A click implies that the entry was shown, and so does an interaction that names the list. What is told twice changes nothing: the first
# time counts.
_RECORD = """
INSERT INTO impressions (list_id, item_id, user_id, position, surface, model_version_id, experiment_id, arm, shown_at, clicked_at,
                         converted_at)
SELECT given.list_id, given.item_id, given.user_id, given.position, given.surface,
       (SELECT id FROM model_versions WHERE id = given.model_version_id), nullif(given.experiment_id, 0), given.arm,
       told.at, CASE WHEN %(is_click)s THEN told.at END, CASE WHEN %(is_conversion)s THEN told.at END
FROM unnest(%(list_ids)s::uuid[], %(item_ids)s::text[], %(user_ids)s::text[], %(positions)s::int[], %(surfaces)s::text[],
            %(versions)s::bigint[], %(experiments)s::int[], %(arms)s::int[], %(times)s::timestamptz[])
         AS given (list_id, item_id, user_id, position, surface, model_version_id, experiment_id, arm, occurred_at)
CROSS JOIN LATERAL (SELECT coalesce(given.occurred_at, clock_timestamp()) AS at) AS told
JOIN items ON items.id = given.item_id
ORDER BY given.list_id, given.item_id
ON CONFLICT (list_id, item_id) DO UPDATE SET
    clicked_at = coalesce(impressions.clicked_at, excluded.clicked_at),
    converted_at = coalesce(impressions.converted_at, excluded.converted_at), position = coalesce(impressions.position, excluded.position)
RETURNING list_id, item_id
"""


def record(events: Sequence[Told], event: Event) -> Statement[set[tuple[uuid.UUID, str]]]:
    """Store what was told; returns the pairs that were, which leaves out those whose item does not exist."""
    told = {(one.list_id, one.item_id): one for one in reversed(events)}
    origins = {one.list_id: origin_of(one.list_id) for one in told.values()}
    made = [(one, origin) for one in told.values() if (origin := origins[one.list_id]) is not None]
    params: dict[str, Any] = {
        "is_click": event == "click",
        "is_conversion": event == "conversion",
        "list_ids": [one.list_id for one, _ in made],
        "item_ids": [one.item_id for one, _ in made],
        "user_ids": [one.user_id for one, _ in made],
        "positions": [one.position for one, _ in made],
        "surfaces": [origin.surface for _, origin in made],
        "versions": [origin.model_version_id for _, origin in made],
        "experiments": [origin.experiment_id for _, origin in made],
        "arms": [origin.arm for _, origin in made],
        "times": [one.occurred_at for one, _ in made],
    }
    return Statement(_RECORD, params, lambda rows: {(row["list_id"], row["item_id"]) for row in rows})


# `now()`, because an index is of no use for a time that may change from row to row.
_FORGET = """
DELETE FROM impressions WHERE (list_id, item_id) IN (
    SELECT list_id, item_id FROM impressions
    WHERE shown_at < now() - %(days)s * interval '1 day'
      AND NOT EXISTS (SELECT 1 FROM experiments WHERE experiments.id = experiment_id AND ended_at IS NULL)
    ORDER BY shown_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING list_id
"""


def forget(*, days: float, limit: int = 500) -> Statement[int]:
    """Delete up to `limit` impressions of so many days ago, but for those of an experiment that runs; returns how many."""
    return Statement(_FORGET, {"days": days, "limit": limit}, len)


@dataclass(frozen=True, slots=True)
class Rates:
    """How often entries of one kind were shown, clicked, and led to an interaction."""

    day: date | None
    algorithm: str | None
    model_version_id: int | None
    surface: Surface | None
    position: int | None
    impressions: int
    clicks: int
    conversions: int


Dimension = Literal["day", "algorithm", "model_version", "surface", "position"]

_REPORT = """
SELECT CASE WHEN 'day' = ANY(%(by)s) THEN (shown_at AT TIME ZONE 'UTC')::date END AS day,
       CASE WHEN 'algorithm' = ANY(%(by)s) THEN coalesce(algorithm, impressions.surface) END AS algorithm,
       CASE WHEN 'model_version' = ANY(%(by)s) THEN model_version_id END AS model_version_id,
       CASE WHEN 'surface' = ANY(%(by)s) THEN impressions.surface END AS surface,
       CASE WHEN 'position' = ANY(%(by)s) THEN position END AS position,
       count(*) AS impressions, count(clicked_at) AS clicks, count(converted_at) AS conversions
FROM impressions LEFT JOIN model_versions ON model_versions.id = model_version_id
WHERE shown_at >= %(since)s AND shown_at < %(until)s
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1 DESC NULLS LAST, 2, 3 DESC, 4, 5 LIMIT 10000
"""


def report(*, by: Sequence[Dimension], since: datetime, until: datetime) -> Statement[list[Rates]]:
    """Counts by these dimensions of what was shown in this time; entries of no model stand under their surface."""
    return Statement(_REPORT, {"by": list(by), "since": since, "until": until}, lambda rows: [Rates(**row) for row in rows])


@dataclass(frozen=True, slots=True)
class ArmSums:
    """Sums over the users of one arm of an experiment: what the interval of a rate per impression is made of."""

    arm: int
    users: int
    impressions: float
    clicks: float
    conversions: float
    impressions_squared: float
    clicks_squared: float
    conversions_squared: float
    clicks_impressions: float
    conversions_impressions: float


# By user, because what one user does with one list is not independent of what the same does with the next.
_ARMS = """
SELECT arm, count(*) AS users, sum(n) AS impressions, sum(c) AS clicks, sum(v) AS conversions,
       sum(n * n) AS impressions_squared, sum(c * c) AS clicks_squared, sum(v * v) AS conversions_squared,
       sum(c * n) AS clicks_impressions, sum(v * n) AS conversions_impressions
FROM (SELECT arm, user_id, count(*)::float8 AS n, count(clicked_at)::float8 AS c, count(converted_at)::float8 AS v
      FROM impressions WHERE experiment_id = %(experiment_id)s AND user_id IS NOT NULL GROUP BY arm, user_id) AS by_user
GROUP BY arm ORDER BY arm
"""


def arms(experiment_id: int) -> Statement[dict[int, ArmSums]]:
    """What the users of each arm did."""

    def read(rows: list[Row]) -> dict[int, ArmSums]:
        return {row["arm"]: ArmSums(**row) for row in rows}

    return Statement(_ARMS, {"experiment_id": experiment_id}, read)
