"""What to tell of an answer that is empty, or less than was asked for: wishes that cannot come true, and where lists end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core import wishes
from core.database import AsyncPool
from core.narrowing import Narrowing
from core.wishes import Unknown

NAMED: Final = 5
"""So many names are told; of the rest their number."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to tell; `is_vain` where no item at all can be meant, so that nobody needs to look further."""

    hints: tuple[str, ...] = ()
    is_vain: bool = False


async def advise(pool: AsyncPool, narrowing: Narrowing, *, found: int) -> Advice:
    """What is wrong with what was asked for, of which so many entries were found."""
    if narrowing.is_contradictory:
        return Advice((f"year_from ({narrowing.year_from}) is after year_to ({narrowing.year_to}): no item can be in both",), is_vain=True)
    if not narrowing.categories and not narrowing.tags:
        return Advice()
    async with pool.connection() as connection:
        categories = await wishes.unknown("category", narrowing.categories).run_async(connection)
        # There is no index of tags.
        tags = await wishes.unknown("tag", narrowing.tags).run_async(connection) if narrowing.tags and found < narrowing.count else []
    hints = [_told(unknown, "category", "GET /categories lists those there are") for unknown in categories]
    hints += [_told(unknown, "tag", "tags are written as the items have them") for unknown in tags]
    needed = 1 if narrowing.match == "all" else len(set(narrowing.categories))
    of_categories = bool(narrowing.categories) and len(categories) >= needed
    of_tags = bool(narrowing.tags) and len(tags) == len(set(narrowing.tags))
    return Advice(tuple(hints), is_vain=of_categories or of_tags)


def _told(unknown: Unknown, field: str, otherwise: str) -> str:
    if unknown.meant is not None:
        advice = f"did you mean {unknown.meant!r}?"
    elif "," in unknown.name:
        advice = "for several, give the parameter several times"
    else:
        advice = otherwise
    return f"no item has the {field} {unknown.name!r}; {advice}"


def of_end(narrowing: Narrowing, *, found: int) -> tuple[str, ...]:
    """That there is no more than was found, and for which of the wishes."""
    if found >= narrowing.count:
        return ()
    if not found and narrowing.offset:
        return (f"the list ends before offset {narrowing.offset}",)
    wished = [name for name in ("tags", "year_from", "year_to", "exclude", "max_per_category") if getattr(narrowing, name)]
    if narrowing.categories:
        wished.insert(0, "category")
    if not wished:
        return ("the list ends here",)
    if not found and wished == ["category"] and narrowing.match == "all" and len(narrowing.categories) > 1:
        return ("no item left has all of the categories; match=any asks for one of them",)
    return (f"{'no more items' if found else 'no items'} were found for {', '.join(wished)}",)


def of_unknown_items(item_ids: Sequence[str]) -> tuple[str, ...]:
    """That there are no such items."""
    if not item_ids:
        return ()
    more = f" and {len(item_ids) - NAMED} more" if len(item_ids) > NAMED else ""
    return (f"there are no items {', '.join(map(repr, item_ids[:NAMED]))}{more}",)
