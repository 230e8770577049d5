"""The process: how it starts, refuses to start and ends."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx2
import psycopg
import pytest

from tests.rigs.ports import free_port

ENVIRONMENT = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}


@pytest.fixture
def start(database_url, tmp_path):
    """Start the process with these settings changed; whatever is left of it ends with the test."""
    started = []

    def run(**changes):
        fresh = {"JWT_SECRET": secrets.token_hex(32), "API_PORT": str(free_port()), "ARTIFACTS_URL": str(tmp_path)}
        given = {"DATABASE_URL": database_url, **fresh, **changes}
        process = subprocess.Popen(
            [sys.executable, "-m", "app.main"],
            env={**ENVIRONMENT, **{name: value for name, value in given.items() if value is not None}},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        client = httpx2.Client(base_url=f"http://127.0.0.1:{given['API_PORT']}", timeout=40)
        started.append((process, client))
        return process, client

    yield run
    for process, client in started:
        client.close()
        process.kill()
        process.communicate()


def wait_until_ready(process, client):
    deadline = time.monotonic() + 30
    while True:
        try:
            if client.get("/readyz").json()["status"] == "ok":
                return
        except httpx2.TransportError:
            pass
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_until_looked_at(connection):
    """Until a long poll has found its task not ended yet."""
    deadline = time.monotonic() + 10
    looks = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT 1 FROM tasks%'"
    while connection.execute(looks).fetchone() == (0,):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def last_words(process):
    told, _ = process.communicate(timeout=30)
    assert "Traceback" not in told
    return process.returncode, told


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_and_ends_within_seconds_with_a_long_poll_open(start, stop, connection):
    process, client = start(ADMIN_EMAIL="admin@marquee.local", ADMIN_PASSWORD="correct horse")
    wait_until_ready(process, client)
    signed_in = client.post("/api/v1/auth/token", data={"username": "admin@marquee.local", "password": "correct horse"})
    assert signed_in.status_code == 200, signed_in.text
    headers = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
    me = client.get("/api/v1/auth/me", headers=headers).json()
    assert (me["role"], me["user_id"]) == ("admin", "admin")
    task = client.post("/api/v1/tasks", headers=headers, json={"kind": "recommend", "payload": {"user_id": "admin"}})

    with ThreadPoolExecutor() as threads:
        poll = threads.submit(client.get, task.headers["location"], headers=headers, params={"wait": 30})
        wait_until_looked_at(connection)
        began = time.monotonic()
        process.send_signal(stop)
        code, told = last_words(process)
        assert time.monotonic() - began < 5
        assert poll.result().json()["state"] == "queued"
    assert code == 0, told
    assert "status=200" in told


def test_an_administrator_is_made_once_and_never_changed(start, connection):
    admin = {"ADMIN_EMAIL": "Admin@marquee.local", "ADMIN_PASSWORD": "correct horse"}
    connection.execute("INSERT INTO users (id) VALUES ('admin')")
    for _ in range(2):
        process, client = start(**admin)
        wait_until_ready(process, client)
        process.terminate()
        process.wait()
        stored = connection.execute("SELECT role, user_id FROM accounts").fetchall()
        assert len(stored) == 1
        connection.execute("UPDATE accounts SET role = 'user'")
    assert stored[0][0] == "user"
    assert stored[0][1].startswith("u-")


def test_wrong_settings_are_told_in_a_sentence_each(start):
    process, _ = start(JWT_SECRET="change-me", API_PORT="0", DATABASE_URL=None)
    code, told = last_words(process)
    assert code == 2
    assert [line.split()[1].rstrip(":") for line in told.splitlines()] == ["DATABASE_URL", "JWT_SECRET", "API_PORT"]


def test_an_address_that_is_no_database_is_a_wrong_setting_and_not_repeated(start):
    process, _ = start(DATABASE_URL="postgresql://me:hidden@[")
    code, told = last_words(process)
    assert code == 2
    assert told.startswith("app: DATABASE_URL is not of the form")
    assert "hidden" not in told


def test_a_port_in_use_is_told(start):
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        process, _ = start(API_PORT=str(port))
        code, told = last_words(process)
    assert code == 2
    assert told == f"app: cannot listen on 127.0.0.1 port {port}: Address already in use. Set API_HOST or API_PORT.\n"


def test_a_directory_of_artifacts_that_cannot_be_is_told(start, tmp_path):
    (tmp_path / "file").touch()
    process, _ = start(ARTIFACTS_URL=str(tmp_path / "file" / "below"))
    code, told = last_words(process)
    assert (code, told) == (2, f"app: ARTIFACTS_URL cannot be used: {tmp_path}/file/below: Not a directory.\n")


def test_an_address_of_another_machine_is_told(start):
    process, _ = start(API_HOST="192.0.2.1")
    code, told = last_words(process)
    assert code == 2
    assert told.startswith("app: cannot listen on 192.0.2.1 port ")


def test_a_database_that_does_not_answer_is_waited_for_and_then_told(start):
    began = time.monotonic()
    process, _ = start(DATABASE_URL=f"postgresql://postgres:hidden@127.0.0.1:{free_port()}/x")
    code, told = last_words(process)
    assert code == 1
    assert time.monotonic() - began > 3
    (sentence,) = told.splitlines()
    assert sentence.startswith("app: the database does not answer: ")
    assert "hidden" not in told


def test_a_database_without_tables_is_told(start, postgres):
    process, _ = start(DATABASE_URL=postgres.url("postgres"))
    code, told = last_words(process)
    assert code == 1
    assert told == "app: the database has no tables yet: run `marquee db upgrade` first.\n"


def test_it_lives_through_a_restart_of_the_database_connections(start, database_url):
    process, client = start()
    wait_until_ready(process, client)
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    wait_until_ready(process, client)
    assert client.post("/api/v1/auth/token", data={"username": "a@b.c", "password": "x"}).status_code == 401
    process.terminate()
    code, told = last_words(process)
    assert code == 0, told


@pytest.mark.parametrize(
    ("trusted", "told", "client_seen"),
    [
        ("127.0.0.0/8", "203.0.113.9", "203.0.113.9"),
        ("10.237.77.10", "203.0.113.9", "127.0.0.1"),
        ("127.0.0.1,10.237.77.10", "203.0.113.9, 10.237.77.10", "203.0.113.9"),  # by way of nginx and the interface
        ("127.0.0.1,10.237.77.10", "203.0.113.9, 198.51.100.7", "198.51.100.7"),  # who told the interface is no proxy
    ],
)
def test_only_a_trusted_proxy_says_who_the_client_is(start, trusted, told, client_seen):
    process, client = start(TRUSTED_PROXIES=trusted, LOG_FORMAT="json")
    wait_until_ready(process, client)
    client.get("/docs", headers={"X-Forwarded-For": told})
    process.send_signal(signal.SIGTERM)
    code, log = last_words(process)
    lines = [json.loads(line) for line in log.splitlines()]
    assert (code, [line["client"] for line in lines if line["event"] == "request"]) == (0, [client_seen])
