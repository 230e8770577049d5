"""Starts the processes of a stack, restarts those that end, stops them all."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli import child
from cli.refusal import Refusal

STOP_TIMEOUT_SECONDS = 30.0
QUICK_END_SECONDS = 10.0
MAX_QUICK_ENDS = 3
LOG_TAIL_LINES = 8
BAD_SETTINGS_EXIT_CODE = 2


@dataclass
class ManagedProcess:
    """One module run as a process of its own; its output goes to a log file."""

    name: str
    module: str
    environment: Mapping[str, str]
    log_path: Path
    _process: subprocess.Popen[bytes] | None = None
    _started_at: float = 0.0
    _quick_ends: int = field(default=0)

    def start(self) -> None:
        """Start it; it ends with this process, however this process ends. Call from the main thread."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                child.command([sys.executable, "-m", self.module], death_signal=signal.SIGTERM),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the supervisor only, which stops them in order
            )
        self._started_at = time.monotonic()

    def keep_alive(self) -> bool:
        """Start it again if it ended, True if so; a `Refusal` with the end of its log when that does not help."""
        if self._process is None or self._process.poll() is None:
            return False
        self._quick_ends = self._quick_ends + 1 if time.monotonic() - self._started_at < QUICK_END_SECONDS else 0
        if self._quick_ends >= MAX_QUICK_ENDS or self._process.returncode == BAD_SETTINGS_EXIT_CODE:
            raise Refusal(f"{self.name} ended with code {self._process.returncode}; the end of {self.log_path}:\n{self._tail()}")
        self.start()
        return True

    def ask_to_stop(self) -> None:
        """Send SIGTERM if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait_until_stopped(self, deadline: float) -> None:
        """Wait until it ended, and kill it at the deadline (`time.monotonic()`)."""
        if self._process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _tail(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:])


def stop_all(processes: list[ManagedProcess]) -> None:
    """Stop them together, the last started first."""
    for process in reversed(processes):
        process.ask_to_stop()
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    for process in reversed(processes):
        process.wait_until_stopped(deadline)
