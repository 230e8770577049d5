"""The interface as a process: starting, refusing to start, serving, stopping."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx2
import pytest

from tests.rigs.ports import free_port

START_SECONDS = 60.0


def start(folder, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "streamlit_ui.main"],
        env={**os.environ, "UI_SESSION_DIR": str(folder / "sessions"), **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def served(tmp_path, api_url) -> Iterator[tuple[subprocess.Popen[str], str]]:
    port = free_port()
    process = start(tmp_path, UI_PORT=str(port), API_URL=api_url)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            httpx2.get(f"{url}/_stcore/health", timeout=2)
            break
        except httpx2.TransportError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield process, url
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("API_URL", "not an address", "API_URL"),
        ("UI_PORT", "eighty", "UI_PORT"),
        ("UI_PORT", "0", "UI_PORT"),
        ("UI_HOST", "256.1.1.1", "cannot listen on 256.1.1.1"),
        ("UI_SESSION_DIR", "/dev/null/sessions", "UI_SESSION_DIR"),
    ],
)
def test_wrong_settings_end_it_with_a_sentence(tmp_path, name, value, said):
    process = start(tmp_path, **{"UI_PORT": str(free_port()), name: value})
    _, told = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 2
    assert said in told
    assert "Traceback" not in told


def test_a_taken_port_is_said(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = start(tmp_path, UI_PORT=port)
        _, told = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 2
    assert told.strip().splitlines() == [f"ui: port {port} on 127.0.0.1 is taken; set UI_PORT to a free one."]


def test_it_serves_safely_and_stops_when_told(served):
    process, url = served
    page = httpx2.get(url)
    assert "frame-ancestors 'self'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "HttpOnly" in page.headers["Set-Cookie"]
    assert "Secure" not in page.headers["Set-Cookie"]
    assert "Secure" in httpx2.get(url, headers={"X-Forwarded-Proto": "https"}).headers["Set-Cookie"]

    exchanged = httpx2.get(f"{url}/session", params={"ticket": "made up"}, cookies={"marquee_browser": "b"})
    assert (exchanged.status_code, exchanged.headers["Location"]) == (303, "./")
    assert "Set-Cookie" not in exchanged.headers

    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=10)
    assert process.returncode == 0
    assert time.monotonic() - began < 5
    assert "Traceback" not in told
