"""History: what the visitor did, newest first."""

import html
from typing import Final

import streamlit as st

from streamlit_ui.components import frame, notices, wording
from streamlit_ui.shapes import Interaction
from streamlit_ui.state import Visitor

PAGE = 30
MARKS: Final = {"rating": "★", "like": "♥", "dislike": "✕", "watch": "▶", "bookmark": "⚑", "view": "◦"}


@notices.guarded
def show(visitor: Visitor) -> None:
    frame.heading("Your history", "Everything your list is made from, newest first.")
    _events(visitor)


@st.fragment
@notices.guarded
def _events(visitor: Visitor) -> None:
    wanted = st.session_state.get("history-pages", 1)
    events: list[Interaction] = []
    cursor: str | None = None
    with st.spinner("Rewinding …"):
        for _ in range(wanted if visitor.user_id else 0):
            page = visitor.api.interactions(visitor.user_id, limit=PAGE, cursor=cursor)
            events += page.data
            cursor = page.next_cursor
            if cursor is None:
                break
    if not events:
        notices.empty("Nothing here yet", "Rate or like a film on Discover or Browse, and it appears here.")
        return
    st.html(f'<ol class="mq-events">{"".join(_row(event) for event in events)}</ol>')
    if cursor is not None:
        st.button("Show more", key="history-more", on_click=_more, args=(wanted + 1,), icon=":material/expand_more:")


def _row(event: Interaction) -> str:
    title = wording.spoken(event.item_title or event.item_id)
    return (
        f'<li><span class="mq-mark mq-{event.type}" aria-hidden="true">{MARKS.get(event.type, "◦")}</span>'
        f'<span class="mq-event"><span class="mq-deed">{html.escape(wording.deed_of(event))}</span> <b>{html.escape(title)}</b></span>'
        f'<time datetime="{event.occurred_at.isoformat()}">{html.escape(wording.ago(event.occurred_at))}</time></li>'
    )


def _more(pages: int) -> None:
    st.session_state["history-pages"] = pages
