"""Sign in and register: the booth in front of everything else."""

import html

import streamlit as st

from streamlit_ui import state
from streamlit_ui.client import ApiProblem
from streamlit_ui.components import frame, notices, posters

MAX_CATEGORIES = 18
SHOWN = (("Midnight Express Lane", ["Thriller"]), ("The Paper Moon", ["Drama"]), ("Orbit", ["Sci-Fi"]), ("Two for the Tango", ["Romance"]),
         ("Dust and Thunder", ["Western"]), ("The Laughing Cure", ["Comedy"]))  # fmt: skip


@notices.guarded
def show() -> None:
    """The whole page; nothing of it needs a sign-in."""
    categories = _categories()
    with st.container(key="booth", horizontal=True, gap="large", vertical_alignment="center"):
        with st.container(key="booth-sign", width="stretch"):
            _lightbox()
        with st.container(key="booth-desk", width=430):
            if not state.browser():
                st.html('<p class="mq-hint" role="alert">Allow cookies for this site: your sign-in is kept in one.</p>')
            entering, joining = st.tabs(["Sign in", "Create account"])
            with entering:
                _sign_in_form()
            with joining:
                _register_form(categories)


def _lightbox() -> None:
    strip = "".join(f'<img alt="" src="{html.escape(posters.poster_uri(title, genres))}">' for title, genres in SHOWN)
    st.html(
        '<div class="mq-lightbox"><div class="mq-bulbs" aria-hidden="true"></div><h1>Marquee</h1>'
        "<p>Now showing: a list made for you</p>"
        '<div class="mq-bulbs" aria-hidden="true"></div></div>'
        f'<div class="mq-strip" aria-hidden="true">{strip}</div>'
        '<p class="mq-pitch">Rate a few films and see what to watch next, with a reason on every title. The list follows every click.</p>'
    )


def _sign_in_form() -> None:
    with st.form("sign-in", border=False):
        email = st.text_input("E-mail", type="email", autocomplete="email", key="sign-in-email")
        password = st.text_input("Password", type="password", autocomplete="current-password", key="sign-in-password")
        if st.form_submit_button("Sign in", type="primary", width="stretch"):
            if not email or not password:
                _say("Please enter your e-mail and your password.")
                return
            _enter(email.strip(), password)


def _register_form(categories: list[str]) -> None:
    with st.form("register", border=False):
        name = st.text_input("Name (optional)", autocomplete="name", key="register-name", max_chars=100)
        email = st.text_input("E-mail", type="email", autocomplete="email", key="register-email")
        password = st.text_input(
            "Password (at least 8 characters)", type="password", autocomplete="new-password", key="register-password", max_chars=256
        )
        liked = (
            st.pills("What do you like to watch? (optional)", categories, selection_mode="multi", key="register-categories")
            if categories
            else []
        )
        if st.form_submit_button("Create account", type="primary", width="stretch"):
            if not email or len(password or "") < 8:  # noqa: PLR2004 (the API's own limit, said before the call)
                _say("Please enter your e-mail and a password of at least 8 characters.")
                return
            _join(name=(name or "").strip() or None, email=email.strip(), password=password or "", liked=list(liked))


def _categories() -> list[str]:
    try:
        return [category.name for category in state.site().api.categories()[:MAX_CATEGORIES]]
    except ApiProblem as problem:
        if problem.is_unreachable:
            raise
        return []  # registering works without them


def _join(*, name: str | None, email: str, password: str, liked: list[str]) -> None:
    try:
        with st.spinner("Printing your ticket …"):
            state.site().api.register(email=email, password=password, name=name, preferred_categories=liked)
    except ApiProblem as problem:
        notices.trouble(problem)
        return
    _enter(email, password)


def _enter(email: str, password: str) -> None:
    site = state.site()
    try:
        with st.spinner("Opening the doors …"):
            tokens = site.api.sign_in(email=email, password=password, came_by=state.came_by())
    except ApiProblem as problem:
        if problem.is_sign_in_ended:
            _say("That e-mail and password do not belong together.")
        else:
            notices.trouble(problem)
        return
    ticket = site.tickets.issue(session_id=site.sessions.create(tokens), page=state.page(), browser=state.browser())
    frame.go_to_session(ticket)


def _say(sentence: str) -> None:
    st.html(f'<div class="mq-trouble" role="alert"><b>{html.escape(sentence)}</b></div>')
