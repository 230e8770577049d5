"""A private PostgreSQL server for a benchmark, with the durability a real one has."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.database import upgrade
from cli.embedded_postgres import EmbeddedPostgres


@contextmanager
def fresh_database() -> Iterator[str]:
    """The URL of an empty database at the newest schema."""
    with tempfile.TemporaryDirectory(prefix="marquee-bench-") as folder:
        Path(folder).chmod(0o755)  # the account that runs PostgreSQL for root must be able to enter
        with EmbeddedPostgres(Path(folder)) as server:
            url = server.ensure_database("bench")
            upgrade(url)
            yield url
