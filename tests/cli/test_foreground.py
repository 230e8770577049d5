"""Commands that become a process of the product."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

MARQUEE = [sys.executable, "-m", "cli.main"]


@pytest.fixture
def start(database_url, tmp_path):
    """Starts a command; whatever is left of it ends with the test."""
    started = []

    def run(command, **environment):
        given = {**os.environ, "DATABASE_URL": database_url, "ARTIFACTS_URL": str(tmp_path), "PYTHONPATH": str(Path.cwd()), **environment}
        started.append(subprocess.Popen([*MARQUEE, command], env=given, cwd=tmp_path, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("command", "words"), [("worker", "worker ready"), ("dispatcher", "dispatcher ready")])
def test_it_works_in_the_foreground_until_sigterm(start, command, words):
    process = start(command)
    assert any(words in line for line in process.stderr), "it ended instead"
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=30)[1]
    assert process.returncode == 0, told


@pytest.mark.parametrize("command", ["worker", "dispatcher"])
def test_wrong_settings_end_it_as_they_end_the_process(start, command):
    process = start(command, DATABASE_URL="mysql://localhost")
    told = process.communicate(timeout=30)[1]
    assert process.returncode == 2
    assert told.startswith(f"{command}: DATABASE_URL must be of the form")
