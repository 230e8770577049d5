"""Private servers that a scenario may end at any moment."""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.postgres import KillablePostgres


@pytest.fixture(autouse=True)
def quiet_pika() -> None:
    """It tells of every refused connection in many lines."""
    logging.getLogger("pika").setLevel(logging.CRITICAL)


@pytest.fixture(scope="session")
def killable_postgres() -> Iterator[KillablePostgres]:
    """A server whose commits survive kill −9."""
    home = Path(tempfile.mkdtemp(prefix="marquee-faults-"))
    home.chmod(0o755)  # the account it runs under when the tests run as root must be able to enter
    with KillablePostgres(home) as server:
        yield server
    shutil.rmtree(home)
