"""The whole stack as `make run` starts it: one for all end-to-end tests of a test process."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.rigs.ports import free_port

START_TIMEOUT_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack and its first account."""

    api_url: str
    ui_url: str
    admin_email: str
    admin_password: str
    output: str


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """`marquee run` in a fresh home, ready for clients; stopped by SIGTERM, which must end it cleanly."""
    with tempfile.TemporaryDirectory(prefix="marquee-e2e-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        environment = {**os.environ, "MARQUEE_HOME": folder, "API_PORT": str(free_port()), "UI_PORT": str(free_port())}
        command = [sys.executable, "-m", "cli.main", "run"]
        with (home / "output").open("w+") as output:
            process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
            try:
                text = _wait_for_addresses(process, home / "output")
                password = json.loads((home / "secrets.json").read_text())["demo_password"]
                yield Stack(_url(text, "API").removesuffix("/docs"), _url(text, "Interface"), "demo@example.com", password, text)
            finally:
                process.send_signal(signal.SIGTERM)
                code = process.wait(30)
        assert code == 0, (home / "output").read_text()


def _wait_for_addresses(process: subprocess.Popen[bytes], output: Path) -> str:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while "Ctrl-C stops everything" not in output.read_text():
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)
    return output.read_text()


def _url(text: str, name: str) -> str:
    found = re.search(rf"{name}\s+(http://\S+)", text)
    assert found, text
    return found[1]
