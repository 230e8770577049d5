"""Sign-ins on the server's side: rotation, restarts, theft of the directory, tickets."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from streamlit_ui.client import Api, ApiProblem
from streamlit_ui.sessions import SESSION_DAYS, TICKET_SECONDS, Sessions, Tickets
from streamlit_ui.shapes import Tokens


@pytest.fixture
def api(api_url):
    api = Api(api_url)
    yield api
    api.close()


@pytest.fixture
def tokens(fake, api) -> Tokens:
    fake.add_account("vera@example.org", "long enough")
    return api.sign_in(email="vera@example.org", password="long enough")


@pytest.fixture
def sessions(tmp_path, api) -> Sessions:
    return Sessions(tmp_path / "sessions", api)


def test_a_sign_in_is_kept_until_it_is_ended(sessions, tokens, fake):
    session_id = sessions.create(tokens)
    assert sessions.exists(session_id)
    assert sessions.access_token(session_id) == tokens.access_token
    sessions.end(session_id)
    assert not sessions.exists(session_id)
    assert tokens.refresh_token not in fake.refresh
    with pytest.raises(ApiProblem) as ended:
        sessions.access_token(session_id)
    assert ended.value.is_sign_in_ended


def test_it_survives_a_restart(sessions, tokens, tmp_path, api):
    session_id = sessions.create(tokens)
    again = Sessions(tmp_path / "sessions", api)
    assert again.access_token(session_id) == tokens.access_token


def test_the_directory_alone_opens_nothing(sessions, tokens, tmp_path):
    session_id = sessions.create(tokens)
    (file,) = (tmp_path / "sessions").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    for secret in (session_id, tokens.access_token, tokens.refresh_token):
        assert secret.encode() not in file.read_bytes()
        assert secret not in file.name


def test_tabs_that_reload_at_once_use_the_refresh_token_once(sessions, tokens, fake):
    fake.access_seconds = 900.0
    session_id = sessions.create(tokens.model_copy(update={"expires_in": 0.0}))
    with ThreadPoolExecutor(8) as tabs:
        given = set(tabs.map(lambda _: sessions.access_token(session_id), range(8)))
    assert len(given) == 1
    assert given != {tokens.access_token}
    assert fake.refresh_count == 1


def test_a_refused_token_is_exchanged_once_for_all_who_were_refused(sessions, tokens, fake):
    session_id = sessions.create(tokens)
    fresh = sessions.access_token(session_id, refused=tokens.access_token)
    assert sessions.access_token(session_id, refused=tokens.access_token) == fresh
    assert fake.refresh_count == 1


def test_a_refresh_that_is_refused_ends_the_sign_in(sessions, tokens, fake, tmp_path):
    session_id = sessions.create(tokens)
    fake.refresh.clear()
    with pytest.raises(ApiProblem) as ended:
        sessions.access_token(session_id, refused=tokens.access_token)
    assert ended.value.is_sign_in_ended
    assert list((tmp_path / "sessions").iterdir()) == []


def test_an_api_that_is_away_ends_no_sign_in(tokens, tmp_path):
    away = Api("http://127.0.0.1:9")
    sessions = Sessions(tmp_path / "sessions", away)
    session_id = sessions.create(tokens)
    with pytest.raises(ApiProblem) as problem:
        sessions.access_token(session_id, refused=tokens.access_token)
    assert problem.value.is_unreachable
    assert sessions.exists(session_id)
    sessions.end(session_id)
    assert not sessions.exists(session_id)
    away.close()


@pytest.mark.parametrize("session_id", ["", "../../etc/passwd", "x" * 43, "Ä" * 43, "a" * 10_000])
def test_an_id_nobody_was_given_is_nobody(sessions, session_id):
    assert not sessions.exists(session_id)


def test_a_damaged_file_is_nobody(sessions, tokens, tmp_path, api):
    session_id = sessions.create(tokens)
    (file,) = (tmp_path / "sessions").iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    assert not Sessions(tmp_path / "sessions", api).exists(session_id)


def test_what_is_too_old_is_swept(sessions, tokens, tmp_path):
    sessions.create(tokens)
    (file,) = (tmp_path / "sessions").iterdir()
    long_ago = time.time() - (SESSION_DAYS + 1) * 86400
    os.utime(file, (long_ago, long_ago))
    sessions.create(tokens)
    assert not file.exists()


def test_a_ticket_is_good_once_in_the_browser_it_was_made_for():
    tickets = Tickets()
    number = tickets.issue(session_id="s", page="tasks", browser="mine")
    ticket = tickets.redeem(number, browser="mine")
    assert ticket is not None
    assert (ticket.session_id, ticket.page) == ("s", "tasks")
    assert tickets.redeem(number, browser="mine") is None
    assert tickets.redeem(tickets.issue(session_id="s", page="", browser="mine"), browser="other") is None
    assert tickets.redeem(tickets.issue(session_id="s", page="", browser=""), browser="") is None
    assert tickets.redeem("unknown", browser="mine") is None


def test_a_ticket_is_good_for_a_short_time():
    now = [0.0]
    tickets = Tickets(clock=lambda: now[0])
    number = tickets.issue(session_id="s", page="", browser="mine")
    now[0] = TICKET_SECONDS
    assert tickets.redeem(number, browser="mine") is None
