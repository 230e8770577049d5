"""What every page stands in: the style sheet, the sign with the navigation, headings, and the way to the session route."""

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import streamlit as st
from streamlit.navigation.page import Page
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.scriptrunner import get_script_run_ctx

from streamlit_ui.shapes import Account

HERE: Final = Path(__file__).parent
STYLE_SHEET: Final = HERE / "marquee.css"
ICON: Final = HERE / "marquee.svg"


def dress() -> None:
    """Title, icon and style sheet; the first thing on every page."""
    st.set_page_config(page_title="Marquee", page_icon=str(ICON), layout="wide", initial_sidebar_state="collapsed")
    st.html(STYLE_SHEET)


def sign(pages: Sequence[Page], here: Page, account: Account, *, docs_url: str, on_sign_out: Callable[[], None]) -> None:
    """The sign above every page: the name, the ways to the other pages, and who is signed in."""
    with st.container(key="sign", horizontal=True, vertical_alignment="center", gap="small"):
        st.html('<div class="mq-name" role="banner">Marquee</div>', width="content")
        with st.container(key="ways", horizontal=True, gap="xsmall", width="content"):
            for page in pages:
                with st.container(key="here" if page == here else None, width="content"):
                    st.page_link(page, label=page.title, icon=page.icon or None)
        with st.popover("Account", icon=":material/account_circle:", type="tertiary", key="account"):
            named = html.escape(account.name or account.email)
            st.html(f'<p class="mq-account"><b>{named}</b><br><span>{html.escape(account.email)}</span></p>')
            if account.role != "user":
                st.html(f'<p class="mq-account"><span>Role: {account.role}</span></p>')
            st.link_button("API documentation", docs_url, icon=":material/api:", width="stretch")
            if st.button("Sign out", icon=":material/logout:", key="sign-out", width="stretch"):
                on_sign_out()
    st.html('<div class="mq-bulbs" aria-hidden="true"></div>')


def heading(title: str, text: str = "") -> None:
    """The name of a page and one sentence on it."""
    line = f"<p>{html.escape(text)}</p>" if text else ""
    st.html(f'<header class="mq-heading"><h1>{html.escape(title)}</h1>{line}</header>')


def go_to_session(ticket: str) -> None:
    """Send the browser to the session route, where its ticket becomes a cookie; ends the run of the page.

    The message is the one Streamlit's own sign-in sends. The address is relative, so a path in front of the site is kept.
    """
    context = get_script_run_ctx()
    if context is not None:
        message = ForwardMsg()
        message.auth_redirect.url = f"session?ticket={ticket}"
        context.enqueue(message)
    st.stop()
