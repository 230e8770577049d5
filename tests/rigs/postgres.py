"""A private PostgreSQL for tests that end it at once, and a migrated template whose copies are fresh databases."""

import contextlib
import os
import signal
import time
import uuid
from pathlib import Path

import psycopg

from cli.database import upgrade
from cli.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresFailed

RESTART_SECONDS = 30.0

# What the kill of a process must not lose, and nothing more: the machine stays up, so nothing waits for its disk.
DURABLE = {"fsync": "off", "synchronous_commit": "on", "shared_buffers": "64MB", "max_connections": "200"}


def make_template(server: EmbeddedPostgres) -> None:
    """A database `template_marquee` at the newest schema, whose schedules are off: no test shall depend on the time of day."""
    url = server.ensure_database("template_marquee")
    upgrade(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE schedules SET is_enabled = false")


class KillablePostgres(EmbeddedPostgres):
    """Commits survive `kill`, as they survive a crash of the server."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, options=DURABLE)

    def fresh_database(self) -> str:
        """The URL of a new database at the newest schema."""
        name = f"faults_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as admin:
            if admin.execute("SELECT 1 FROM pg_database WHERE datname = 'template_marquee'").fetchone() is None:
                make_template(self)
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template_marquee STRATEGY FILE_COPY")
        return self.url(name)

    def kill(self) -> None:
        """End it at once; its sessions' processes find out and end too."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def restart(self) -> None:
        """Start on what a kill left; sessions' processes that still end are waited for."""
        deadline = time.monotonic() + RESTART_SECONDS
        while True:
            try:
                self.start()
                return
            except EmbeddedPostgresFailed:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def crash_session(self, database_url: str) -> None:
        """Kill the process of one session: the server ends all others and recovers by itself."""
        with psycopg.connect(database_url, autocommit=True) as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1"
            ).fetchone()
        if found is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found[0], signal.SIGKILL)
