"""Sign-ins: the tokens of each browser on the server's side, and the tickets that bring a browser its cookie.

The browser's cookie holds 256 random bits. Their hash names a file here and a second hash is the key it is encrypted
with, so a copy of the directory opens nothing (docs/decisions/0004-ui-session-cookie.md).
"""

import base64
import contextlib
import hashlib
import logging
import os
import re
import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken
from pydantic import BaseModel, ValidationError

from streamlit_ui.client import Api, ApiProblem
from streamlit_ui.shapes import Tokens

SESSION_DAYS: Final = 30
TICKET_SECONDS: Final = 30.0
REFRESH_EARLY_SECONDS: Final = 20.0
LOCK_COUNT: Final = 256

_LOG = logging.getLogger(__name__)
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{43}")

Clock = Callable[[], float]


class _Record(BaseModel):
    access_token: str
    access_until: float
    refresh_token: str


def sign_in_ended() -> ApiProblem:
    """What a visitor meets whose sign-in was ended elsewhere or is too old."""
    return ApiProblem(title="Signed out", detail="Your sign-in has ended. Please sign in again.", status=401, correlation_id="-")


class Sessions:
    """Every sign-in of this server, in memory and, encrypted, in a directory that outlives it.

    One server process a directory: what one process exchanged, another would not know of.
    """

    def __init__(self, directory: Path, api: Api, *, clock: Clock = time.time) -> None:
        self._directory = directory
        self._api = api
        self._clock = clock
        self._records: dict[str, _Record] = {}
        # Two tabs that refresh at once would present one refresh token twice, and the API would take that for theft.
        # A fixed number of locks, chosen by hash: ids that nobody was given cannot pile up.
        self._locks = tuple(threading.Lock() for _ in range(LOCK_COUNT))
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def create(self, tokens: Tokens) -> str:
        """Keep the tokens of a new sign-in; returns the session id that its browser's cookie will hold."""
        self._sweep()
        session_id = secrets.token_urlsafe(32)
        self._store(session_id, tokens)
        return session_id

    def exists(self, session_id: str) -> bool:
        """Whether the sign-in is still there."""
        with self._lock(session_id):
            return self._load(session_id) is not None

    def access_token(self, session_id: str, *, refused: str | None = None) -> str:
        """The access token, exchanged for a new one if it is about to end or was refused.

        Raises `ApiProblem`: with status 401 if the sign-in has ended.
        """
        with self._lock(session_id):
            record = self._load(session_id)
            if record is None:
                raise sign_in_ended()
            if record.access_token != refused and record.access_until - REFRESH_EARLY_SECONDS > self._clock():
                return record.access_token
            try:
                tokens = self._api.refresh(record.refresh_token)
            except ApiProblem as problem:
                if not problem.is_sign_in_ended:  # the API is away: the sign-in stays
                    raise
                self._forget(session_id)
                raise sign_in_ended() from problem
            return self._store(session_id, tokens).access_token

    def end(self, session_id: str) -> None:
        """Forget the sign-in here, then at the API; an API that is away cannot keep anybody signed in here."""
        with self._lock(session_id):
            record = self._load(session_id)
            self._forget(session_id)
        if record is not None:
            with contextlib.suppress(ApiProblem):
                self._api.sign_out(record.refresh_token)

    def _lock(self, session_id: str) -> threading.Lock:
        return self._locks[hash(session_id) % LOCK_COUNT]

    def _load(self, session_id: str) -> _Record | None:
        record = self._records.get(session_id)
        if record is None and _SESSION_ID.fullmatch(session_id):
            with contextlib.suppress(OSError, InvalidToken, ValidationError):
                opened = _cipher(session_id).decrypt(self._path(session_id).read_bytes(), ttl=SESSION_DAYS * 86400)
                record = self._records[session_id] = _Record.model_validate_json(opened)
        return record

    def _store(self, session_id: str, tokens: Tokens) -> _Record:
        record = _Record(
            access_token=tokens.access_token, access_until=self._clock() + tokens.expires_in, refresh_token=tokens.refresh_token
        )
        self._records[session_id] = record
        sealed = _cipher(session_id).encrypt(record.model_dump_json().encode())
        try:
            _write_whole(self._path(session_id), sealed)
        except OSError as error:  # a full disk: the sign-in lives on in memory
            _LOG.warning("a sign-in could not be stored and ends with this process: %s", error)
        return record

    def _forget(self, session_id: str) -> None:
        self._records.pop(session_id, None)
        self._path(session_id).unlink(missing_ok=True)

    def _path(self, session_id: str) -> Path:
        return self._directory / hashlib.sha256(b"marquee session name\0" + session_id.encode()).hexdigest()

    def _sweep(self) -> None:
        oldest = time.time() - SESSION_DAYS * 86400
        for file in self._directory.iterdir():
            with contextlib.suppress(OSError):
                if file.stat().st_mtime < oldest:
                    file.unlink()


def _write_whole(path: Path, content: bytes) -> None:
    # Renamed when whole: a crash leaves the old file or the new one. `mkstemp` makes it readable by its owner only.
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(unfinished).replace(path)


def _cipher(session_id: str) -> Fernet:
    # The id has 256 random bits, so one hash is enough of a key derivation.
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"marquee session key\0" + session_id.encode()).digest()))


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a browser gets at the session route: its cookie set (`session_id`) or cleared (None), then a page."""

    session_id: str | None
    page: str
    browser: str
    until: float


class Tickets:
    """One-time, short-lived, and good only in the browser they were made for."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._tickets: dict[str, Ticket] = {}

    def issue(self, *, session_id: str | None, page: str, browser: str) -> str:
        """The number of a new ticket; `page` is where the browser goes afterwards."""
        number = secrets.token_urlsafe(32)
        now = self._clock()
        with self._guard:
            self._tickets = {known: ticket for known, ticket in self._tickets.items() if ticket.until > now}
            self._tickets[number] = Ticket(session_id, page, browser, now + TICKET_SECONDS)
        return number

    def redeem(self, number: str, *, browser: str) -> Ticket | None:
        """The ticket, once; None if it is unknown, used, too old or another browser's."""
        with self._guard:
            ticket = self._tickets.pop(number, None)
        if ticket is None or ticket.until <= self._clock() or not browser or not secrets.compare_digest(ticket.browser, browser):
            return None
        return ticket


@dataclass(frozen=True, slots=True)
class SessionTokens:
    """The access tokens of one sign-in, as the client asks for them."""

    sessions: Sessions
    session_id: str

    def access_token(self, *, refused: str | None = None) -> str:
        return self.sessions.access_token(self.session_id, refused=refused)
