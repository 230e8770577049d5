"""Discover: the visitor's own list with its reasons, or what to rate to get one."""

import html
from datetime import UTC, datetime

import streamlit as st

from streamlit_ui.components import cards, deeds, feedback, frame, notices, wording
from streamlit_ui.shapes import Entry, Recommendations, ShownEntry
from streamlit_ui.state import Visitor

FIRST_RATINGS = 5
SHOWN = (12, 24, 48)
POPULAR = 24
FRESH_SECONDS = 5
FILTERS = 8


@notices.guarded
def show(visitor: Visitor) -> None:
    if not visitor.user_id:
        notices.empty(
            "No list for this account", "This account has no viewer of its own. Sign in with one that has, or register a new one."
        )
        return
    with st.spinner("Looking up what you watched …"):
        deeds.know_marks(visitor)
    visitor.visit.is_list_outdated = True  # whatever happened on other pages and in other tabs
    if _met_count(visitor) < FIRST_RATINGS:
        _first_ratings(visitor)
    else:
        _own_list(visitor)


def _met_count(visitor: Visitor) -> int:
    return len(visitor.visit.marks)


@st.fragment
@notices.guarded
def _first_ratings(visitor: Visitor) -> None:
    if deeds.carry_out(visitor) and _met_count(visitor) >= FIRST_RATINGS:
        st.rerun()
    done = _met_count(visitor)
    left = FIRST_RATINGS - done
    frame.heading(
        "Rate five films to get your own list",
        "Stars, a like, watched or saved: all of it counts." if not done else f"{left} more to go, and the list is yours.",
    )
    bulbs = "".join(f'<i class="{"lit" if n < done else ""}"></i>' for n in range(FIRST_RATINGS))
    st.html(
        f'<div class="mq-count" role="img" aria-label="{done} of {FIRST_RATINGS} rated">{bulbs}<span>{done} of {FIRST_RATINGS}</span></div>'
    )
    with st.spinner("Fetching what everybody watches …"):
        popular = visitor.api.popular(limit=POPULAR + FIRST_RATINGS)
    left_over = [item for item in popular if item.id not in visitor.visit.marks][:POPULAR]
    if left_over:
        cards.grid([cards.Card(item, "Popular now") for item in left_over], visitor.visit, name="popular")
    else:
        notices.empty("There are no films yet", "As soon as somebody imports a catalogue, the popular ones appear here to be rated.")


@st.fragment
@notices.guarded
def _own_list(visitor: Visitor) -> None:
    visit = visitor.visit
    count = st.session_state.get("discover-count") or SHOWN[1]
    deeds.carry_out(visitor)
    stored = visit.recommendations
    if stored is None or visit.is_list_outdated or len(stored.entries) < count:
        with st.spinner("Choosing what to show you …" if stored is None else "Rearranging your list …"):
            stored = visitor.api.recommendations(visitor.user_id, count=count, wait=FRESH_SECONDS)
        visit.show(stored)
    if not stored.entries:
        _no_list_yet(visitor)
        return
    _above(stored, visitor)
    category = _controls(stored.entries)
    shown = [entry for entry in stored.entries[:count] if category is None or category in entry.item.categories]
    drawn = _cards(shown, stored.list_id, visit.new_item_ids)
    cards.grid(drawn, visit, name="own")
    visit.feedback.note_shown(card.entry for card in drawn if card.entry)
    feedback.tell(visitor)
    if stored.is_stale:
        _follow(visitor)


def _cards(entries: list[Entry], list_id: str | None, new_item_ids: frozenset[str]) -> list[cards.Card]:
    now = datetime.now(UTC)

    # The place on the page, not the one in the list: how far down somebody had to look is what clicks depend on.
    def shown(place: int, entry: Entry) -> ShownEntry | None:
        return ShownEntry(list_id=list_id, item_id=entry.item.id, position=place, occurred_at=now) if list_id else None

    return [
        cards.Card(entry.item, wording.reason_html(entry.reason), entry.item.id in new_item_ids, shown(place, entry))
        for place, entry in enumerate(entries, start=1)
    ]


def _above(stored: Recommendations, visitor: Visitor) -> None:
    name = f", {visitor.account.name}" if visitor.account.name else ""
    if stored.is_cold:
        frame.heading(f"Tonight{name}", "Popular films for now: your own list comes with the next trained model.")
    else:
        frame.heading(f"Made for you{name}", "Rate, like or save anything here and the list follows at once.")
    made = f"computed {wording.ago(stored.computed_at)}" if stored.computed_at else ""
    fresh = "being brought up to date …" if stored.is_stale else made
    st.html(f'<p class="mq-small" aria-live="polite">{len(stored.entries)} titles · {html.escape(fresh)}</p>')


def _controls(entries: list[Entry]) -> str | None:
    counts: dict[str, int] = {}
    for entry in entries:
        for category in entry.item.categories:
            counts[category] = counts.get(category, 0) + 1
    offered = sorted(counts, key=lambda category: (-counts[category], category))[:FILTERS]
    with st.container(key="controls", horizontal=True, vertical_alignment="bottom", gap="small"):
        chosen = st.pills("Show only", offered, key="discover-category", wrap=True)
        st.segmented_control("How many", SHOWN, default=SHOWN[1], key="discover-count", required=True)
    return chosen


def _no_list_yet(visitor: Visitor) -> None:
    frame.heading("Your list is on its way")
    notices.empty("The reel is being threaded", "Your first list is being computed. It appears here by itself.")
    _follow(visitor)


@st.fragment(run_every=2.0)
@notices.guarded
def _follow(visitor: Visitor) -> None:
    """Look again until the list is up to date, then show it."""
    before = visitor.visit.recommendations
    stored = visitor.api.recommendations(visitor.user_id, count=len(before.entries) if before and before.entries else SHOWN[1])
    if before is None or stored.list_id != before.list_id or stored.is_stale != before.is_stale:
        visitor.visit.show(stored)
        st.rerun()
