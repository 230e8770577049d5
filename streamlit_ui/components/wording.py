"""The words of the interface: reasons, deeds, times and troubles as sentences."""

import html
import re
from datetime import UTC, datetime
from typing import Final

from streamlit_ui.client import ApiProblem
from streamlit_ui.shapes import Interaction, InteractionType, Item, Reason, Task

_YEAR = re.compile(r"^(?P<title>.+?)\s*\((?P<year>\d{4})\)$")
_ARTICLE = re.compile(r"^(?P<rest>.+), (?P<article>The|A|An|Les|La|Le|Das|Der|Die|El|Il|L')$")
_OTHER_NAMES = re.compile(r"\s*\([^()]*\)$")

TASK_NAMES: Final = {
    "recommend": "Compute a list",
    "recommend_many": "Compute many lists",
    "train": "Train a model",
    "refresh_lists": "Refresh all lists",
    "refresh_shard": "Refresh some lists",
    "rank": "Answer a request",
    "count_items": "Count what is popular",
}
STATE_NAMES: Final = {
    "queued": "Waiting",
    "running": "Running",
    "succeeded": "Done",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "expired": "Too late",
    "dead": "Given up",
}


def title_and_year(item: Item) -> tuple[str, int | None]:
    """The title as people say it (`Matrix, The (1999)` is *The Matrix*) and the year of release."""
    dated = _YEAR.match(item.title)
    if item.released_at is not None:
        return spoken(item.title), item.released_at.year
    return spoken(item.title), int(dated["year"]) if dated else None


def spoken(title: str) -> str:
    """A title without its year and other names, its article in front."""
    dated = _YEAR.match(title)
    if dated:  # data sets that put a year there put the title in other languages before it
        title = _OTHER_NAMES.sub("", dated["title"]) or dated["title"]
    turned = _ARTICLE.match(title)
    if turned is None:
        return title
    return f"{turned['article']}{'' if turned['article'].endswith(chr(39)) else ' '}{turned['rest']}"


def reason_html(reason: Reason) -> str:
    """Why an entry is in the list, with the titles that speak for it in italics."""
    titles = [f"<em>{html.escape(spoken(item.title))}</em>" for item in reason.items[:2]]
    if reason.type == "because_you_watched" and titles:
        return f"Because you watched {' and '.join(titles)}"
    if reason.type == "category" and reason.category:
        return f"More in <em>{html.escape(reason.category)}</em>"
    return {"new": "New this month", "trending": "Talked about this week"}.get(reason.type, "Popular now")


def plain(text: str) -> str:
    """Text that Markdown shows as it is: labels, toasts and notices are Markdown."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~$:<>&])", r"\\\1", text)


def stars(rating: float) -> str:
    """Half stars and all: 3.5 is ★★★½."""
    return "★" * int(rating) + ("½" if rating % 1 >= 0.5 else "")  # noqa: PLR2004


def deed(kind: InteractionType, value: float | None) -> str:
    """What was done, as the start of a sentence that a title ends."""
    if kind == "rating" and value is not None:
        return f"You gave {stars(value)} to"
    if kind == "watch":
        return "You watched" if value is None or value >= 0.9 else f"You watched {round(value * 100)}% of"  # noqa: PLR2004
    return {"like": "You like", "dislike": "Not for you:", "bookmark": "You saved", "view": "You looked at"}.get(kind, "You met")


def deed_of(event: Interaction) -> str:
    return deed(event.type, event.value)


_AGES: Final = ((31_536_000, "year"), (2_592_000, "month"), (86_400, "day"), (3_600, "hour"), (60, "minute"))


def ago(moment: datetime, *, now: datetime | None = None) -> str:
    """How long ago, in its largest unit."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    for size, name in _AGES:
        count = int(seconds // size)
        if count >= 1:
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"


def lasted(seconds: float) -> str:
    """A duration for people: 40 ms, 2.5 s, 12 s, 3 min."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004


def trouble(problem: ApiProblem) -> str:
    """A problem as one sentence, with what is wrong with single fields."""
    if problem.fields:
        return "Please check: " + "; ".join(problem.fields) + "."
    sentence = str(problem).strip() or problem.title
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def task_trouble(task: Task) -> str | None:
    """Why a task has no result, as one sentence."""
    if task.error is not None and task.state not in {"succeeded", "cancelled"}:
        told = str(task.error.get("message") or "").strip().splitlines()
        sentence = told[0] if told else "It ended without saying why"
        return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
    if task.state == "expired":
        return "Its deadline passed before it could start."
    return None
