"""Where requests for lists are answered from: asks workers for what no stored list can be, within the time there is."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.notifications import FinishedTasks
from core import charts, shown, tasks
from core.database import AsyncPool, async_transaction
from core.list_ids import Surface
from core.messages import CountItemsPayload, Payload, RankPayload
from core.narrowing import Narrowing
from core.shown import StoredEntry
from core.statement import Row, Statement, first_or_none
from core.tasks import TERMINAL_STATES
from core.topology import QueueName

NO_MODEL = "no model has been trained yet"
PATIENCE = 3.0
"""A request that went away leaves its task to expire after so many times the wait."""


@dataclass(frozen=True, slots=True)
class MadeList:
    """A list with where it came from."""

    list_id: uuid.UUID
    surface: Surface
    model_version_id: int | None
    algorithm: str | None
    entries: list[StoredEntry]
    is_cold: bool = False
    is_complete: bool = True
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unanswered:
    """That no worker answered: a code for programs, and why, for people."""

    code: str
    why: str


@dataclass(frozen=True, slots=True)
class Desk:
    """`ring` wakes a worker through the broker, if there is one; work is asked for in the name of `owner`."""

    pool: AsyncPool
    finished: FinishedTasks
    ring: Callable[[QueueName, uuid.UUID], None] | None
    owner: str
    correlation_id: str
    rank_seconds: float

    async def ask(self, payload: Payload, **options: Any) -> uuid.UUID | None:
        """Submit a task and wake a worker for it; None if another one is in its way."""
        statement = tasks.submit(payload, owner=self.owner, correlation_id=self.correlation_id, is_rung=self.ring is not None, **options)
        async with async_transaction(self.pool) as connection:
            submitted = await statement.run_async(connection)
        if submitted is None:
            return None
        if self.ring is not None and submitted.outcome == "created":
            self.ring(payload.queue, submitted.id)
        return submitted.id

    async def rank(self, payload: RankPayload, *, reader: str | None = None) -> MadeList | Unanswered:
        """The list a worker computes for this request, without what its user or the reader has met.

        Its task is forgotten with the answer.
        """
        if payload.narrowing.model_version is None and not await self.has_model():
            return Unanswered("no_model", NO_MODEL)
        task_id = await self.ask(payload, deadline_seconds=PATIENCE * self.rank_seconds)
        assert task_id is not None, "this kind has neither keys nor twins"
        await self.finished.wait(task_id, seconds=self.rank_seconds)
        ended = await self._one(_TAKE, {"id": task_id, "states": sorted(TERMINAL_STATES)})
        if ended is None:
            async with async_transaction(self.pool) as connection:
                await tasks.request_cancel(task_id).run_async(connection)
            return Unanswered("too_late", "no worker answered in time")
        if ended["state"] != "succeeded" or "entries" not in (ended["result"] or {}):
            error = ended["error"] or {}
            return Unanswered(str(error.get("code", ended["state"])), error.get("message", f"the ranking {ended['state']}"))
        return await self._made(payload, ended["result"], payload.user_id or reader)

    async def has_model(self) -> bool:
        """Whether any version is live."""
        return await self._one(_HAS_MODEL, {}) is not None

    async def _made(self, payload: RankPayload, result: Row, user_id: str | None) -> MadeList:
        narrowing = Narrowing(count=payload.narrowing.count, include_seen=payload.narrowing.include_seen)
        statement = shown.show(result["entries"], model_version_id=result["model_version"], user_id=user_id, narrowing=narrowing)
        async with self.pool.connection() as connection:
            entries, algorithm = await statement.run_async(connection)
        return MadeList(
            list_id=uuid.UUID(result["list_id"]),
            surface=payload.surface,
            model_version_id=result["model_version"],
            algorithm=algorithm,
            entries=entries,
            is_cold=result["is_cold"],
            hints=tuple(result["hints"]),
        )

    async def count_first(self) -> None:
        """Workers count the items; before they ever did, a small history is counted here, and otherwise a worker asked."""
        async with self.pool.connection() as connection:
            if await charts.has_counts().run_async(connection):
                return
            is_small = await _IS_SMALL.run_async(connection)
        if not is_small:
            await self.ask(CountItemsPayload())
            return
        async with async_transaction(self.pool) as connection:
            await charts.count_items().run_async(connection)

    async def _one(self, sql: Any, params: dict[str, Any]) -> Row | None:
        async with self.pool.connection() as connection:
            return await Statement(sql, params, first_or_none).run_async(connection)


_HAS_MODEL = "SELECT 1 AS found FROM model_versions WHERE status = 'live'"
_TAKE = "DELETE FROM tasks WHERE id = %(id)s AND state = ANY(%(states)s) RETURNING state, result, error"
_IS_SMALL = Statement(
    "SELECT count(*) < 200000 AS is_small FROM (SELECT 1 FROM interactions LIMIT 200000) AS few", {}, lambda rows: bool(rows[0]["is_small"])
)
