"""What the interface remembers: the site for the whole process, the visit for one browser tab."""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import streamlit as st
from streamlit.navigation.page import Page

from streamlit_ui.client import Api, VisitorApi
from streamlit_ui.sessions import Sessions, SessionTokens, Tickets
from streamlit_ui.settings import UiSettings
from streamlit_ui.shapes import Account, Interaction, InteractionType, Recommendations, ShownEntry

SESSION_COOKIE: Final = "marquee_session"
BROWSER_COOKIE: Final = "marquee_browser"
MOST_UNTOLD: Final = 1000
"""As many entries as the API takes in one call."""
_VISIT: Final = "visit"


@dataclass(frozen=True, slots=True)
class Site:
    """What all visitors share."""

    settings: UiSettings
    api: Api
    sessions: Sessions
    tickets: Tickets


class _Installed:
    site: Site | None = None


def install(site: Site) -> None:
    """Give the pages their site; called once, by `main`, before the first page is asked for."""
    _Installed.site = site


def site() -> Site:
    """The site of this process."""
    if _Installed.site is None:
        raise RuntimeError("the pages are served by `python -m streamlit_ui.main`")
    return _Installed.site


@dataclass(frozen=True, slots=True)
class Action:
    """Something the visitor just did with an item, not told to the API yet."""

    item_id: str
    title: str
    type: InteractionType
    value: float | None = None
    occurred_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """The moment of the click: telling it twice is telling it once."""
    entry: ShownEntry | None = None
    """The entry of a list that it was done with, as that was drawn."""


@dataclass
class Marks:
    """What the visitor has done with one item, as far as the last pages of the history tell."""

    types: set[InteractionType] = field(default_factory=set)
    rating: float | None = None

    def add(self, kind: InteractionType, value: float | None) -> None:
        self.types.add(kind)
        if kind == "rating":
            self.rating = value


@dataclass
class Feedback:
    """What became of the entries that this tab showed, as far as the API has yet to be told."""

    # While the API is away the oldest are forgotten, so that a tab left open does not fill the memory.
    impressions: deque[ShownEntry] = field(default_factory=lambda: deque(maxlen=MOST_UNTOLD))
    clicks: deque[ShownEntry] = field(default_factory=lambda: deque(maxlen=MOST_UNTOLD))
    list_id: str | None = None
    seen: set[str] = field(default_factory=set)
    """The items shown so far of the list with this id, the last one."""

    def note_shown(self, entries: Iterable[ShownEntry]) -> None:
        """Remember these to be told, each item of a list once."""
        for entry in entries:
            if entry.list_id != self.list_id:
                self.list_id, self.seen = entry.list_id, set()
            if entry.item_id not in self.seen:
                self.seen.add(entry.item_id)
                self.impressions.append(entry)

    def note_clicked(self, entry: ShownEntry, *, at: datetime) -> None:
        """Remember this to be told as clicked."""
        self.clicks.append(entry.model_copy(update={"occurred_at": at}))


@dataclass
class Visit:
    """One tab of one visitor; lives in `st.session_state` and is forgotten when another account signs in."""

    account: Account
    recommendations: Recommendations | None = None
    is_list_outdated: bool = False
    """Whether something happened since the list was fetched."""
    new_item_ids: frozenset[str] = frozenset()
    marks: dict[str, Marks] = field(default_factory=lambda: defaultdict(Marks))
    has_marks: bool = False
    pending: Action | None = None
    feedback: Feedback = field(default_factory=Feedback)

    def remember(self, history: list[Interaction]) -> None:
        """Take the marks from a history, newest first."""
        for event in reversed(history):
            self.marks[event.item_id].add(event.type, event.value)
        self.has_marks = True

    def show(self, recommendations: Recommendations) -> None:
        """Take over a list; what was not in the one before is new."""
        before = self.recommendations
        if before is not None and before.entries and before.list_id != recommendations.list_id:
            known = {entry.item.id for entry in before.entries}
            self.new_item_ids = frozenset(entry.item.id for entry in recommendations.entries if entry.item.id not in known)
        self.recommendations = recommendations
        self.is_list_outdated = False


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at the page: what they may ask and what this tab remembers."""

    api: VisitorApi
    visit: Visit
    pages: dict[str, Page] = field(default_factory=dict)
    """The pages by name, for links from one to another."""

    @property
    def account(self) -> Account:
        return self.visit.account

    @property
    def user_id(self) -> str:
        """Whose list and history the pages show; an account without a user of its own has neither."""
        return self.account.user_id or ""

    @property
    def is_admin(self) -> bool:
        return self.account.role == "admin"


def session_id() -> str | None:
    """The sign-in this browser's cookie names, if it is still there."""
    named = st.context.cookies.get(SESSION_COOKIE)
    return named if named and site().sessions.exists(named) else None


def browser() -> str:
    """What this browser is told apart by while it signs in; empty if it takes no cookies."""
    return st.context.cookies.get(BROWSER_COOKIE, "")


def came_by() -> list[str]:
    """The addresses the browser's request came by, as a proxy passes them on: what it was told, and who told it.

    Whose word counts is for the API to say, which knows the proxies (TRUSTED_PROXIES).
    """
    told, peer = st.context.headers.get("X-Forwarded-For"), st.context.ip_address
    return [address for address in (told, peer) if address]


def visitor(session: str) -> Visitor:
    """The visitor of a sign-in; raises `ApiProblem` when the API does not say who it is."""
    api = VisitorApi(site().api, SessionTokens(site().sessions, session))
    remembered: tuple[str, Visit] | None = st.session_state.get(_VISIT)
    if remembered is None or remembered[0] != session:
        # A tab that outlived its sign-in must not show one account's list to another.
        remembered = (session, Visit(account=api.me()))
        st.session_state.clear()
        st.session_state[_VISIT] = remembered
    return Visitor(api, remembered[1])


def page() -> str:
    """The page this tab is on, as a relative address: `tasks`, or empty for the first one."""
    return urlsplit(st.context.url or "").path.rsplit("/", 1)[-1]
