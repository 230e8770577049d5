"""Cards: an item with its poster, why it is shown, and what the visitor can do with it."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st

from streamlit_ui.components import posters, wording
from streamlit_ui.shapes import InteractionType, Item, ShownEntry
from streamlit_ui.state import Action, Marks, Visit

# What the buttons do, their icons, and their words before a title: to be done, and done.
DEEDS: Final[tuple[tuple[InteractionType, str, str, str], ...]] = (
    ("like", ":material/favorite:", "Like", "Liked:"),
    ("watch", ":material/visibility:", "Mark as watched:", "Watched:"),
    ("bookmark", ":material/bookmark:", "Save for later:", "Saved:"),
    ("dislike", ":material/thumb_down:", "Not for me:", "Marked as not for me:"),
)
LONG_TITLE: Final = 26


@dataclass(frozen=True, slots=True)
class Card:
    """An item as it is shown; `reason` is HTML, `entry` the entry it is of a list that the API wants to hear of."""

    item: Item
    reason: str | None = None
    is_new: bool = False
    entry: ShownEntry | None = None


def picture(item: Item) -> str:
    """The poster as HTML: the item's own picture if it has one, a drawn one otherwise."""
    own = item.image_url if item.image_url and item.image_url.startswith(("https://", "http://")) else None
    source = html.escape(own or posters.poster_uri(item.title, item.categories), quote=True)
    return f'<img src="{source}" alt="" loading="lazy">'


def grid(cards: Sequence[Card], visit: Visit, *, name: str) -> None:
    """Cards side by side, as many as fit; what the visitor does becomes the visit's pending action."""
    with st.container(key=f"grid-{name}"):
        for card in cards:
            with st.container(key=f"card-{name}-{card.item.id}", gap=None):
                _card(card, visit, name)


def _card(card: Card, visit: Visit, name: str) -> None:
    item, marks = card.item, visit.marks.get(card.item.id) or Marks()
    title, year = wording.title_and_year(item)
    facts = " · ".join([*([str(year)] if year else []), *item.categories[:2]])
    long = ' class="mq-long"' if len(title) > LONG_TITLE else ""
    badge = '<span class="mq-new">New</span>' if card.is_new else ""
    reason = f'<p class="mq-reason">{card.reason}</p>' if card.reason else ""
    st.html(
        f'<article class="mq-card"><div class="mq-poster">{picture(item)}{badge}<h2{long}>{html.escape(title)}</h2></div>'
        f'<p class="mq-facts">{html.escape(facts) or "&nbsp;"}</p>{reason}</article>'
    )
    rating_key = f"rate-{name}-{item.id}"
    with st.container(key=f"stars-{name}-{item.id}"):
        st.feedback(
            "stars",
            key=rating_key,
            default=max(0, round(marks.rating) - 1) if marks.rating else None,
            on_change=_rate,
            args=(visit, card, title, rating_key),
        )
    with st.container(key=f"deeds-{name}-{item.id}", horizontal=True, gap=None, wrap=False):
        for kind, icon, to_do, done in DEEDS:
            st.button(
                wording.plain(f"{done if kind in marks.types else to_do} {title}"),
                icon=icon,
                key=f"{kind}-{name}-{item.id}",
                type="primary" if kind in marks.types else "tertiary",
                on_click=_act,
                args=(visit, card, title, kind),
            )


# Both are given the card as it was drawn: the list it was drawn from may have been replaced since.
def _rate(visit: Visit, card: Card, title: str, key: str) -> None:
    chosen: int | None = st.session_state.get(key)
    if chosen is not None:
        visit.pending = Action(card.item.id, title, "rating", float(chosen + 1), entry=card.entry)


def _act(visit: Visit, card: Card, title: str, kind: InteractionType) -> None:
    visit.pending = Action(card.item.id, title, kind, entry=card.entry)
