"""The list of a user as it is answered: stored, waited for, or the first one of a stranger."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from app import hints
from app.desk import NO_MODEL, Desk, Unanswered
from app.errors import ListReplaced, Problem, UserNotFound
from app.model_errors import ModelHasNoArtifact, ModelNotFound
from core import charts, lists, model_versions
from core.database import AsyncPool
from core.list_ids import Origin, new_list_id
from core.lists import StoredList
from core.messages import RankPayload, RecommendPayload
from core.narrowing import Narrowing
from core.shown import StoredEntry
from core.statement import Statement

OF_STRANGERS: Final = "the user is not known: this is what is popular, in the one order there is; POST /users makes users known"


@dataclass(frozen=True, slots=True)
class Shown:
    """A list as it is answered. `is_complete` is False where more was asked for than could be computed.

    `length` is how many places the stored list has, if this is one.
    """

    user_id: str
    list_id: uuid.UUID
    model_version_id: int | None
    algorithm: str | None
    computed_at: datetime | None
    is_cold: bool
    is_stale: bool
    task_id: uuid.UUID | None
    entries: list[StoredEntry]
    length: int | None = None
    is_complete: bool = True
    hints: tuple[str, ...] = field(default=())


def find(user_id: str, narrowing: Narrowing) -> Statement[StoredList | None]:
    """What is stored for a user, as far as it mostly has to be looked at; None if there is no such user."""
    return lists.read(user_id, narrowing=narrowing, is_whole=narrowing.is_narrow)


async def read_list(desk: Desk, stored: StoredList | None, *, user_id: str, narrowing: Narrowing, wait_seconds: float) -> Shown:
    """The list of a user, for whom `find` found this. Where it is stale or missing and there is time to wait, a new one is asked for.

    What the stored list cannot answer is computed by a worker; if that takes too long, the best stored answer says so.
    Who is not known gets what is popular. Raises `ModelNotFound`, `ModelHasNoArtifact`.
    """
    stored = await _whole(desk.pool, stored, narrowing)
    if stored is not None:
        stored = await _refreshed(desk, stored, narrowing, wait_seconds)
    if stored is None or stored.list_id is None:
        shown = await _cold(desk, user_id, narrowing, stored)
    else:
        shown = _shown(stored, stored.list_id)
    advice = await hints.advise(desk.pool, narrowing, found=len(shown.entries))
    if advice.hints:
        shown = replace(shown, hints=advice.hints)
    is_short = narrowing.is_narrow and len(shown.entries) < narrowing.count
    if shown.computed_at is None and not await desk.has_model():
        shown = replace(shown, is_complete=not narrowing.is_reordered, hints=(*shown.hints, f"{NO_MODEL}; this is what is popular"))
    elif stored is None and narrowing.is_reordered:
        shown = replace(shown, is_complete=False, hints=(*shown.hints, OF_STRANGERS))
    elif (is_short or narrowing.is_reordered) and stored is not None and not advice.is_vain:
        shown = await _ranked(desk, shown, narrowing)
    return shown if shown.hints else replace(shown, hints=hints.of_end(narrowing, found=len(shown.entries)))


async def read_on(desk: Desk, stored: StoredList | None, *, user_id: str, narrowing: Narrowing, list_id: uuid.UUID) -> Shown:
    """A further part of the list with this id, if that is still what `find` found, as far as it goes. Raises `ListReplaced`."""
    stored = await _whole(desk.pool, stored, narrowing)
    if stored is None or stored.list_id is None:
        shown = await _cold(desk, user_id, narrowing, stored)
    else:
        shown = _shown(stored, stored.list_id)
    if shown.list_id != list_id:
        raise ListReplaced(user_id)
    return shown if shown.entries else replace(shown, hints=hints.of_end(narrowing, found=0))


async def _refreshed(desk: Desk, stored: StoredList, narrowing: Narrowing, wait_seconds: float) -> StoredList:
    """What is stored when the refresh under way has ended. It may have begun before the last event: then there is one more."""
    deadline = time.monotonic() + wait_seconds
    for _ in range(2):
        seconds = deadline - time.monotonic()
        if not stored.is_stale or seconds <= 0:
            break
        task_id = stored.task_id or await desk.ask(RecommendPayload(user_id=stored.user_id))
        if task_id is None:
            break
        await desk.finished.wait(task_id, seconds=seconds)
        stored = await _read(desk.pool, stored.user_id, narrowing) or stored
    return stored


async def _ranked(desk: Desk, stored: Shown, narrowing: Narrowing) -> Shown:
    answer = await desk.rank(RankPayload(user_id=stored.user_id, narrowing=narrowing))
    if isinstance(answer, Unanswered):
        if narrowing.model_version is not None and answer.code == "model_unusable":
            raise await _unusable(desk, narrowing.model_version, answer.why)
        hint = f"{answer.why}; this is what the stored list has"
        return replace(stored, is_complete=False, hints=(*stored.hints, hint))
    return replace(
        stored,
        list_id=answer.list_id,
        model_version_id=answer.model_version_id,
        algorithm=answer.algorithm,
        computed_at=datetime.now(UTC),
        is_cold=answer.is_cold,
        is_stale=False,
        entries=answer.entries,
        length=None,
        hints=(*stored.hints, *answer.hints),
    )


async def _unusable(desk: Desk, version_id: int, why: str) -> Problem:
    async with desk.pool.connection() as connection:
        found = await model_versions.find(version_id).run_async(connection)
    return ModelNotFound(version_id) if found is None else ModelHasNoArtifact(f"{why[:1].upper()}{why[1:]}.")


async def _read(pool: AsyncPool, user_id: str, narrowing: Narrowing) -> StoredList | None:
    async with pool.connection() as connection:
        stored = await find(user_id, narrowing).run_async(connection)
    return await _whole(pool, stored, narrowing)


async def _whole(pool: AsyncPool, stored: StoredList | None, narrowing: Narrowing) -> StoredList | None:
    """What `find` found, or the whole list where so much of it was met since that `find` fell short."""
    if stored is None or narrowing.is_narrow or not stored.may_have_more(narrowing):
        return stored
    async with pool.connection() as connection:
        return await lists.read(stored.user_id, narrowing=narrowing).run_async(connection)


def _shown(stored: StoredList, list_id: uuid.UUID) -> Shown:
    return Shown(
        user_id=stored.user_id,
        list_id=list_id,
        model_version_id=stored.model_version_id,
        algorithm=stored.algorithm,
        computed_at=stored.computed_at,
        is_cold=stored.is_cold,
        is_stale=stored.is_stale,
        task_id=stored.task_id,
        entries=stored.entries,
        length=stored.length,
    )


async def _cold(desk: Desk, user_id: str, narrowing: Narrowing, stored: StoredList | None) -> Shown:
    """What is popular, led by the categories the user chose; for a user that is not known, or whose first list is yet to come."""
    await desk.count_first()
    async with desk.pool.connection() as connection:
        preferred = await _preferred(user_id).run_async(connection) if stored else ()
        entries = await charts.read("popular", narrowing=narrowing, user_id=user_id, preferred=preferred).run_async(connection)
    # The same for a day, so that whoever looks again and again sees no new list where there is none.
    list_id = new_list_id(Origin("cold"), seed=f"{user_id} {datetime.now(UTC).date()}")
    task_id = stored.task_id if stored else None
    return Shown(user_id, list_id, None, None, None, is_cold=True, is_stale=stored is not None, task_id=task_id, entries=entries)


def _preferred(user_id: str) -> Statement[tuple[str, ...]]:
    sql = "SELECT preferred_categories FROM users WHERE id = %(user_id)s"
    return Statement(sql, {"user_id": user_id}, lambda rows: tuple(rows[0]["preferred_categories"]) if rows else ())


async def check_user(pool: AsyncPool, user_id: str) -> None:
    """Raise `UserNotFound` unless there is such a user."""
    statement = Statement("SELECT 1 FROM users WHERE id = %(user_id)s", {"user_id": user_id}, bool)
    async with pool.connection() as connection:
        if not await statement.run_async(connection):
            raise UserNotFound(user_id)


def positions(entries: Sequence[StoredEntry], *, offset: int) -> list[tuple[int, StoredEntry]]:
    """The entries with their places in the whole list, from 1."""
    return list(enumerate(entries, start=offset + 1))
