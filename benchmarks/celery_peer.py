"""Celery in an environment of its own, run on the same servers as we."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

PACKAGES = ("celery>=5.6,<6", "psycopg[binary]>=3.3,<4")
JOB = Path(__file__).with_name("celery_job.py")


class CeleryPeer:
    """An interpreter that has Celery."""

    def __init__(self, python: Path) -> None:
        self._python = python

    def run(self, count: int, *, broker_url: str, database_url: str) -> float:
        """Submit so many tasks that do nothing and wait until all have left their row; tasks a second.

        The worker has as many processes as it likes: one a core.
        """
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS peer_done")
            connection.execute("CREATE TABLE peer_done (task_id uuid PRIMARY KEY, state text NOT NULL, finished_at timestamptz NOT NULL)")
        environment = {**os.environ, "PEER_BROKER": broker_url, "PEER_DATABASE": database_url}
        worker = subprocess.Popen(
            [self._python, "-m", "celery", "-A", "celery_job", "worker", "--loglevel", "ERROR", "-O", "fair"],
            cwd=JOB.parent,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            done = subprocess.run(
                [self._python, JOB, str(count)], env=environment, cwd=JOB.parent, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise RuntimeError(f"the Celery peer failed: {done.stderr[-2000:]}")
            return float(done.stdout)
        finally:
            worker.terminate()
            worker.wait(60)


@contextmanager
def installed() -> Iterator[CeleryPeer]:
    """Install Celery into a temporary environment."""
    with tempfile.TemporaryDirectory(prefix="marquee-celery-") as folder:
        python = Path(folder) / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
        yield CeleryPeer(python)
