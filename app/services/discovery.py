"""Lists beside a user's own: charts, similar items, sessions, and the rows of a whole page."""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from app import hints
from app.desk import Desk, MadeList, Unanswered
from app.errors import ItemNotFound
from core import charts, lists, similar, wishes
from core.charts import Chart
from core.list_ids import Origin, Surface, new_list_id, origin_of
from core.messages import RankPayload
from core.narrowing import Narrowing
from core.shown import StoredEntry
from core.similar import StoredSimilar

STORED = Narrowing(count=100)
"""As much of a stored list as can be asked for at once."""
ALIKE = Narrowing(count=100, new_share=0.0)
"""What is similar to an item is not mixed with what is new."""


async def read_chart(desk: Desk, chart: Chart, *, narrowing: Narrowing, user_id: str | None = None) -> MadeList:
    """A chart, without what the user has met."""
    return await _told(desk, await _chart(desk, chart, narrowing, user_id), narrowing)


async def _chart(desk: Desk, chart: Chart, narrowing: Narrowing, user_id: str | None = None) -> MadeList:
    await desk.count_first()
    async with desk.pool.connection() as connection:
        entries = await charts.read(chart, narrowing=narrowing, user_id=user_id).run_async(connection)
    # The same for a day, as with the first list of a stranger: whoever looks again and finds nothing new is told so (304).
    list_id = new_list_id(Origin(chart), seed=f"{desk.owner} {user_id} {datetime.now(UTC).date()}")
    return MadeList(list_id, chart, None, None, entries)


async def _told(desk: Desk, made: MadeList, narrowing: Narrowing) -> MadeList:
    """With what to know of it, where it is less than was asked for."""
    advice = await hints.advise(desk.pool, narrowing, found=len(made.entries))
    told = (*made.hints, *advice.hints)
    return replace(made, hints=told or hints.of_end(narrowing, found=len(made.entries)))


async def read_similar(desk: Desk, item_id: str, *, narrowing: Narrowing, user_id: str | None) -> MadeList:
    """Items similar to one by the live model, computed the first time, and for filters of which the stored ones have too few.

    By category alone where no worker answers, or the model does not know the item. Raises `ItemNotFound`.
    """
    stored = await _stored(desk, item_id, narrowing, user_id)
    if stored.list_id is None:
        answer = await desk.rank(RankPayload(item_ids=(item_id,), surface="similar", narrowing=ALIKE))
        if isinstance(answer, Unanswered) or answer.is_cold:
            why = answer.why if isinstance(answer, Unanswered) else "the live model says nothing of the item"
            return await _alike(desk, stored, narrowing, user_id, why)
        stored = await _stored(desk, item_id, narrowing, user_id)
        if stored.list_id is None:  # another model went live in this moment
            return replace(answer, entries=answer.entries[: narrowing.count])
    made = MadeList(stored.list_id, "similar", stored.model_version_id, stored.algorithm, stored.entries)
    if not narrowing.is_narrow or len(made.entries) >= narrowing.count:
        return await _told(desk, made, narrowing)
    advice = await hints.advise(desk.pool, narrowing, found=len(made.entries))
    return await _told(desk, made if advice.is_vain else await _similar_narrowly(desk, made, item_id, narrowing, user_id), narrowing)


async def _stored(desk: Desk, item_id: str, narrowing: Narrowing, user_id: str | None) -> StoredSimilar:
    async with desk.pool.connection() as connection:
        stored = await similar.read(item_id, narrowing=narrowing, user_id=user_id).run_async(connection)
    if stored is None:
        raise ItemNotFound(item_id)
    return stored


async def _similar_narrowly(desk: Desk, made: MadeList, item_id: str, narrowing: Narrowing, user_id: str | None) -> MadeList:
    """The same out of the whole catalogue; of what a worker answers, the user may have met some."""
    whole = narrowing.model_copy(update={"count": ALIKE.count, "offset": 0, "new_share": 0.0})
    answer = await desk.rank(RankPayload(item_ids=(item_id,), surface="similar", narrowing=whole), reader=user_id)
    if isinstance(answer, Unanswered):
        return replace(made, is_complete=False, hints=(f"{answer.why}; this is what the stored list has",))
    return replace(answer, entries=answer.entries[narrowing.offset : narrowing.offset + narrowing.count])


async def _alike(desk: Desk, stored: StoredSimilar, narrowing: Narrowing, user_id: str | None, why: str) -> MadeList:
    shared = () if narrowing.categories else tuple(stored.categories)[:20]
    alike = narrowing.model_copy(update={"categories": narrowing.categories or shared, "exclude": (*narrowing.exclude, stored.item_id)})
    made = await _in_place(desk, "similar", stored.item_id, alike, user_id)
    said = "these share a category with the item" if shared else "this is what is popular"
    return await _told(desk, replace(made, hints=(f"{why}; {said}",)), narrowing)


async def _in_place(desk: Desk, surface: Surface, subject: str, narrowing: Narrowing, user_id: str | None = None) -> MadeList:
    """What is popular in place of another list, under an id of its own, so that a click counts for that."""
    made = await _chart(desk, "popular", narrowing, user_id)
    own = new_list_id(Origin(surface), seed=f"{made.list_id} {subject}")
    return replace(made, list_id=own, surface=surface, is_complete=False)


NOTHING_KNOWN: Final = "the live model knows none of the items; this is what is popular"


async def read_session(desk: Desk, item_ids: Sequence[str], *, narrowing: Narrowing) -> MadeList:
    """A list for somebody without a name who looked at these items; what is popular where no worker answers."""
    async with desk.pool.connection() as connection:
        unknown = hints.of_unknown_items(await wishes.unknown_items(tuple(item_ids)).run_async(connection))
    answer = await desk.rank(RankPayload(item_ids=tuple(item_ids), surface="session", narrowing=narrowing))
    if not isinstance(answer, Unanswered):
        cold = (NOTHING_KNOWN,) if answer.is_cold else ()
        return await _told(desk, replace(answer, hints=(*unknown, *cold, *answer.hints)), narrowing)
    others = narrowing.model_copy(update={"exclude": (*narrowing.exclude, *item_ids)})
    popular = await _in_place(desk, "session", " ".join(item_ids), others)
    return await _told(desk, replace(popular, hints=(*unknown, f"{answer.why}; this is what is popular")), narrowing)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the page: `subject` is the item or the category it is about."""

    kind: str
    subject: str | None
    title: str | None
    made: MadeList


async def read_page(desk: Desk, user_id: str, *, row_count: int, count: int) -> tuple[bool, list[Row]]:
    """Whether the user is known by now, and the rows of the page: own list, because you watched, categories, charts.

    The rows about films and categories are the parts of the user's own list that these speak for, so that a whole page is
    one stored list and three charts.
    """
    async with desk.pool.connection() as connection:
        stored = await lists.read(user_id, narrowing=STORED).run_async(connection)
    entries = stored.entries if stored else []
    rows = []
    if stored is not None and stored.list_id is not None:
        rows = _own_rows(stored.list_id, stored.model_version_id, stored.algorithm, entries, row_count=row_count, count=count)
    names: tuple[Chart, ...] = ("trending", "newest", "popular")
    for chart in names:
        made = await read_chart(desk, chart, narrowing=Narrowing(count=count), user_id=user_id)
        if made.entries:
            rows.append(Row(chart, None, None, made))
    return stored is None or stored.is_cold or stored.list_id is None, rows


def _own_rows(
    list_id: uuid.UUID, version: int | None, algorithm: str | None, entries: list[StoredEntry], *, row_count: int, count: int
) -> list[Row]:
    # Of the arm of an experiment that the list is of, so that clicks on its rows count there too.
    origin = origin_of(list_id) or Origin("row", version or 0)

    def row(kind: str, subject: str, title: str, part: list[StoredEntry]) -> Row:
        own = new_list_id(replace(origin, surface="row"), seed=f"{list_id} {kind} {subject}")
        return Row(kind, subject, title, MadeList(own, "row", version, algorithm, part[:count]))

    rows = [Row("for_you", None, None, MadeList(list_id, "personal", version, algorithm, entries[:count]))]
    spoke = Counter(entry.reason_items[0]["id"] for entry in entries if entry.reason_items)
    titles = {named["id"]: named["title"] for entry in entries for named in entry.reason_items}
    for item_id, _ in spoke.most_common(row_count):
        part = [entry for entry in entries if any(named["id"] == item_id for named in entry.reason_items)]
        rows.append(row("because_you_watched", item_id, titles[item_id], part))
    liked = Counter(category for entry in entries[:30] for category in entry.categories)
    for category, _ in liked.most_common(row_count):
        part = [entry for entry in entries if category in entry.categories]
        rows.append(row("category", category, category, part))
    return rows
