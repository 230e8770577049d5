"""Real servers for every test: one embedded PostgreSQL a test process, a clone of one migrated template a test, a private RabbitMQ."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from psycopg import Connection

from cli.embedded_postgres import EmbeddedPostgres
from tests.rigs.postgres import make_template
from tests.rigs.rabbitmq import PrivateRabbitMQ, find_server

# As in the product, where `core.log` sees to it: structlog's default draws a traceback with the values of all variables,
# which takes a minute where one of them is a megabyte.
structlog.configure(
    processors=[structlog.processors.add_log_level, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
)

# Nothing a test writes has to survive a crash of the machine.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"}


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The server, with a database `template_marquee` at the newest schema."""
    # Not below pytest's tmp_path: its mode keeps out the account the server runs under when the tests run as root.
    home = Path(tempfile.mkdtemp(prefix="marquee-tests-"))
    home.chmod(0o755)
    with EmbeddedPostgres(home, options=FAST) as server:
        make_template(server)
        yield server
    shutil.rmtree(home)
    if server.home != home:
        shutil.rmtree(server.home)


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a fresh database with the newest schema and no rows but the first schedules, which are off."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template_marquee STRATEGY FILE_COPY")
        yield postgres.url(name)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection[Any]]:
    """A connection to the test's database, every statement its own transaction."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRabbitMQ]:
    """A private node; whoever stops, wipes or freezes it leaves it running as it was."""
    if find_server() is None:
        reason = "rabbitmq-server is not installed (Debian: apt install rabbitmq-server)"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason}, and CI demands it")
        pytest.skip(reason)
    with PrivateRabbitMQ(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


@pytest.fixture(scope="session")
def movielens() -> Path:
    """The folder of ml-latest-small (100,836 ratings), which is not part of the project."""
    beside = Path(__file__).parents[2] / "shared" / "data" / "ml-latest-small"
    folder = Path(os.environ.get("MARQUEE_MOVIELENS", beside))
    if not (folder / "ratings.csv").exists():
        pytest.skip(f"MovieLens ml-latest-small is not at {folder}; set MARQUEE_MOVIELENS to its folder")
    return folder
