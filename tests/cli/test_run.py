"""`marquee run` as a process: ends cleanly, leaves nothing when killed, goes on with its data, refuses clearly."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rigs.ports import free_port

READY = "Ctrl-C stops everything"
StartRun = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="marquee-run-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def start_run(home: Path) -> Iterator[StartRun]:
    started: list[subprocess.Popen[str]] = []

    def start(**environment: str) -> subprocess.Popen[str]:
        environment = {"MARQUEE_HOME": str(home), "API_PORT": str(free_port()), "UI_PORT": str(free_port()), **environment}
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "run"],
            env={**os.environ, **environment},
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What the process prints up to these words."""
    text = ""
    for line in process.stdout:
        text += line
        if words in line:
            return text
    raise AssertionError(text)


def processes_of(home: Path) -> list[str]:
    """The command lines of all processes that work for the stack in this home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
            is_dead = (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
        if os.fsencode(home) in told and not is_dead:
            found.append((folder / "cmdline").read_text().replace("\0", " "))
    return found


def wait_until_nothing_is_left(home: Path) -> None:
    deadline = time.monotonic() + 40
    while left := processes_of(home):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc and relies on the kernel's word that a parent ended")
def test_a_killed_supervisor_leaves_nothing_and_the_next_start_goes_on(home, start_run):
    first = start_run()
    read_until(first, READY)
    assert len(processes_of(home)) >= 5
    first.kill()
    wait_until_nothing_is_left(home)

    second = start_run()
    text = read_until(second, READY)
    assert "demo@example.com" in text
    assert len(list((home / "artifacts").iterdir())) == 2, "the first start's models serve on, nothing was trained again"
    second.send_signal(signal.SIGINT)
    assert second.wait(40) == 0
    wait_until_nothing_is_left(home)


def wait_until_it_heeds_sigterm(pid: int) -> None:
    """Until the process has a handler; before that, while it still imports, it ends as any program does."""
    deadline = time.monotonic() + 60
    while True:
        caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_stopping_during_the_start_is_clean_too(home, start_run):
    process = start_run()
    wait_until_it_heeds_sigterm(process.pid)
    process.send_signal(signal.SIGTERM)
    out = process.communicate(timeout=40)[0]
    assert process.returncode == 0, out
    assert "Traceback" not in out
    wait_until_nothing_is_left(home)


def test_a_second_start_in_the_same_home_is_refused(home, start_run):
    first = start_run()
    while not (home / "lock").exists() or not (home / "lock").read_text():
        time.sleep(0.05)
    second = start_run()
    out = second.communicate(timeout=30)[0]
    assert second.returncode == 2
    assert f"already running here (process {first.pid}" in out


def test_a_taken_port_is_refused_with_the_setting_to_change(start_run):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = start_run(API_PORT=str(port))
        out = process.communicate(timeout=30)[0]
    assert process.returncode == 2
    assert f"port {port} on 127.0.0.1 is taken; stop what uses it or set API_PORT" in out
    assert "Traceback" not in out


def test_a_database_that_is_not_there_is_named_without_its_password(start_run):
    process = start_run(DATABASE_URL="postgresql://marquee:opensesame@127.0.0.1:1/none")
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "127.0.0.1" in out
    assert "opensesame" not in out
    assert "Traceback" not in out
