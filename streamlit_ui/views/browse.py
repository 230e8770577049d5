"""Browse: the whole catalogue by title and category."""

import streamlit as st

from streamlit_ui.components import cards, deeds, frame, notices
from streamlit_ui.shapes import Item
from streamlit_ui.state import Visitor

PAGE = 24
MAX_SHOWN = 120
EVERYTHING = "All categories"


@notices.guarded
def show(visitor: Visitor) -> None:
    frame.heading("Browse", "Find what you have seen and say what you thought of it.")
    _catalogue(visitor)


@st.fragment
@notices.guarded
def _catalogue(visitor: Visitor) -> None:
    if visitor.user_id:
        deeds.know_marks(visitor)
    deeds.carry_out(visitor)
    with st.container(key="controls", horizontal=True, vertical_alignment="bottom", gap="small"):
        query = st.text_input(
            "Title contains", key="browse-query", icon=":material/search:", placeholder="moon, love, station …", type="search"
        )
        categories = [EVERYTHING, *(category.name for category in visitor.api.categories())]
        category = st.selectbox("Category", categories, key="browse-category", width=220)
    pages = st.session_state.get("browse-pages", {}).get((query, category), 1)
    with st.spinner("Searching the shelves …"):
        items, has_more = _find(visitor, (query or "").strip(), None if category == EVERYTHING else category, pages)
    if not items:
        notices.empty("Nothing by that name", "Try a shorter piece of the title, or all categories.")
        return
    cards.grid([cards.Card(item) for item in items], visitor.visit, name="browse")
    if has_more:
        st.button("Show more", key="browse-more", on_click=_more, args=((query, category), pages + 1), icon=":material/expand_more:")
    elif len(items) >= MAX_SHOWN:
        st.html('<p class="mq-small mq-centre">There are more: a longer piece of the title finds them.</p>')


def _find(visitor: Visitor, query: str, category: str | None, pages: int) -> tuple[list[Item], bool]:
    items: list[Item] = []
    cursor: str | None = None
    for _ in range(pages):
        page = visitor.api.items(query=query, category=category, limit=PAGE, cursor=cursor)
        items += page.data
        cursor = page.next_cursor
        if cursor is None:
            break
    return items, cursor is not None and len(items) < MAX_SHOWN


def _more(search: tuple[str | None, str], pages: int) -> None:
    st.session_state["browse-pages"] = {search: pages}
