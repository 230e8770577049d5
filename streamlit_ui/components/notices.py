"""What a page says when there is nothing to show or something went wrong: one sentence and what to do."""

import functools
import html
import time
from collections.abc import Callable
from typing import ParamSpec

import streamlit as st

from streamlit_ui import state
from streamlit_ui.client import ApiProblem
from streamlit_ui.components import wording

RETRY_SECONDS = 2.0
Arguments = ParamSpec("Arguments")


def empty(title: str, text: str) -> None:
    """An empty place that tells what fills it."""
    words = f"<h2>{html.escape(title)}</h2><p>{html.escape(text)}</p>"
    st.html(f'<div class="mq-empty"><div class="mq-empty-screen" aria-hidden="true"></div>{words}</div>')


def trouble(problem: ApiProblem) -> None:
    """A problem as one sentence with the number to ask for help with."""
    number = f" · reference {problem.correlation_id}" if problem.correlation_id != "-" else ""
    st.html(
        f'<div class="mq-trouble" role="alert"><b>{html.escape(wording.trouble(problem))}</b>'
        f'<span class="mq-reference">{html.escape(problem.title)}{html.escape(number)}</span></div>'
    )


def away(problem: ApiProblem) -> None:
    """The API is away: say so, look again by itself, and go on when it is back."""
    empty("The projector is warming up", "The service cannot be reached right now. This page goes on by itself as soon as it answers.")
    st.html(f'<p class="mq-reference mq-centre">reference {html.escape(problem.correlation_id)}</p>')

    shown_at = time.monotonic()

    @st.fragment(run_every=RETRY_SECONDS)
    def look_again() -> None:
        # Not in the run that just failed: an API that is up and answers nothing would be asked without a pause.
        if time.monotonic() - shown_at > RETRY_SECONDS / 2 and state.site().api.is_up():
            st.rerun()

    look_again()


def guarded(show: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """A page or fragment that tells its problems instead of breaking."""

    @functools.wraps(show)
    def safely(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            show(*args, **kwargs)
        except ApiProblem as problem:
            if problem.is_sign_in_ended:
                st.rerun()  # the page then finds no sign-in and offers one
            if problem.is_unreachable:
                away(problem)
            else:
                trouble(problem)

    return safely
