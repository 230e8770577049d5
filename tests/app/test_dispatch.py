"""The dispatcher as a process of its own, beside an app that leaves it the work."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from core import claims, tasks
from core.messages import RecommendPayload
from tests.rigs.ports import free_port

ENVIRONMENT = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}


@pytest.fixture
def start(database_url, tmp_path):
    """Starts the process, which needs a database and no more."""
    started = []

    def run(**changes):
        environment = {**ENVIRONMENT, "DATABASE_URL": database_url, "PYTHONPATH": str(Path.cwd()), **changes}
        command = [sys.executable, "-m", "app.dispatch"]
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def wait_until_ready(url):
    deadline = time.monotonic() + 30
    while True:
        try:
            if httpx2.get(f"{url}/readyz").json() == {"status": "ok", "checks": {"dispatcher": "ok"}}:
                return
        except httpx2.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_reaps_tells_its_health_and_ends_on_sigterm(connection, start):
    tasks.submit(RecommendPayload(user_id="lost"), owner="alice").run(connection)
    claims.claim_next("interactive", lease_owner="gone", lease_seconds=0.0, limit=1).run(connection)
    port = free_port()
    process = start(DISPATCHER_PORT=str(port))
    wait_until_ready(f"http://127.0.0.1:{port}")
    assert connection.execute("SELECT state FROM tasks").fetchone() == ("queued",)
    metrics = httpx2.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'marquee_dispatcher_reaped_total{outcome="requeued"} 1.0' in metrics
    assert float(re.search(r"^marquee_dispatcher_pass_age_seconds (\S+)", metrics, re.MULTILINE)[1]) < 10
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=20)
    assert process.returncode == 0, told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("environment", "code", "sentence"),
    [
        ({"DATABASE_URL": "mysql://localhost"}, 2, "dispatcher: DATABASE_URL must be of the form"),
        ({"DISPATCHER_PORT": "70000"}, 2, "dispatcher: DISPATCHER_PORT: "),
    ],
)
def test_wrong_settings_are_told(start, environment, code, sentence):
    process = start(**environment)
    told, _ = process.communicate(timeout=30)
    assert (process.returncode, told[: len(sentence)]) == (code, sentence)


def test_a_port_in_use_is_told(start):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = start(DISPATCHER_PORT=str(port))
        told, _ = process.communicate(timeout=30)
    sentence = f"dispatcher: cannot listen on 127.0.0.1 port {port}: Address already in use. Set DISPATCHER_HOST or DISPATCHER_PORT.\n"
    assert (process.returncode, told.splitlines(keepends=True)[-1]) == (2, sentence)
