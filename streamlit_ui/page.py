"""The script Streamlit runs for every visitor and every click: who is it, which page, show it."""

from collections.abc import Callable
from functools import partial

import streamlit as st
from streamlit.navigation.page import Page

from streamlit_ui import state
from streamlit_ui.client import ApiProblem
from streamlit_ui.components import frame, notices
from streamlit_ui.state import Visitor
from streamlit_ui.views import browse, discover, history, sign_in, tasks

PAGES: tuple[tuple[str, str, str, Callable[[Visitor], None]], ...] = (
    ("discover", "Discover", ":material/local_activity:", discover.show),
    ("browse", "Browse", ":material/search:", browse.show),
    ("history", "History", ":material/history:", history.show),
    ("tasks", "Tasks", ":material/bolt:", tasks.show),
)


def main() -> None:
    frame.dress()
    session = state.session_id()
    if session is None:
        # The same addresses as for a visitor who is signed in, so that a link to a page survives signing in.
        _pages(lambda _show: sign_in.show)[1].run()
        return
    try:
        visitor = state.visitor(session)
    except ApiProblem as problem:
        if problem.is_sign_in_ended:
            st.rerun()
        notices.away(problem) if problem.is_unreachable else notices.trouble(problem)
        return
    pages, chosen = _pages(lambda show: partial(show, visitor))
    visitor.pages.update(pages)
    docs_url = f"{state.site().settings.shown_api_url}/docs"
    frame.sign(list(pages.values()), chosen, visitor.account, docs_url=docs_url, on_sign_out=partial(_sign_out, session))
    chosen.run()


def _pages(shown: Callable[[Callable[[Visitor], None]], Callable[[], None]]) -> tuple[dict[str, Page], Page]:
    pages = {
        name: st.Page(shown(show), title=title, icon=icon, url_path=name, default=name == "discover") for name, title, icon, show in PAGES
    }
    return pages, st.navigation(list(pages.values()), position="hidden")


def _sign_out(session: str) -> None:
    site = state.site()
    site.sessions.end(session)
    frame.go_to_session(site.tickets.issue(session_id=None, page="", browser=state.browser()))


main()
