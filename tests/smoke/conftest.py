"""An API of its own over a database of its own, beside the one that serves: nothing that is live is written to.

Inside the container of the app (`docker exec recs-api pytest -v`) the server is the deployment's; with `make test` it is the embedded one.
"""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx2
import psycopg
import pytest
from pydantic import ValidationError

from cli.database import upgrade
from core.settings import CoreSettings

START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Instance:
    """A running API and the sign-in of its administrator."""

    url: str
    database: str
    email: str
    password: str


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> str:
    """The database of the deployment, which is only asked to hold another one."""
    try:
        return CoreSettings(_env_file=None).database_url.get_secret_value()
    except ValidationError:
        return str(request.getfixturevalue("postgres").url("postgres"))  # of tests/conftest.py


@pytest.fixture(scope="session")
def own_database(server_url: str) -> Iterator[str]:
    """The URL of a new database at the newest schema, dropped at the end."""
    name = f"marquee_smoke_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        try:
            connection.execute(f"CREATE DATABASE {name}")
        except psycopg.errors.InsufficientPrivilege:
            pytest.fail(
                f"the role {connection.info.user} may not create the database these tests work in: ALTER ROLE … CREATEDB", pytrace=False
            )
        try:
            url = _named(server_url, name)
            upgrade(url)
            yield url
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def own(own_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """The API as a process of its own: no broker, its own secret, its own artifacts."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    instance = Instance(f"http://127.0.0.1:{port}", own_database, "smoke@example.com", secrets.token_urlsafe())
    folder = tmp_path_factory.mktemp("smoke")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.endswith("_FILE")},
        "DATABASE_URL": own_database,
        "RABBITMQ_URL": "",
        "JWT_SECRET": secrets.token_hex(32),
        "ADMIN_EMAIL": instance.email,
        "ADMIN_PASSWORD": instance.password,
        "API_HOST": "127.0.0.1",
        "API_PORT": str(port),
        "ARTIFACTS_URL": str(folder / "artifacts"),
    }
    log = folder / "app.log"
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, "-m", "app.main"], env=environment, stdout=output, stderr=output)
    try:
        _wait(instance, process, log)
        yield instance
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()


@pytest.fixture
def api(own: Instance) -> Iterator[httpx2.Client]:
    """A client of the own API, not signed in."""
    with httpx2.Client(base_url=own.url, timeout=40) as client:
        yield client


@pytest.fixture
def admin(own: Instance) -> Iterator[httpx2.Client]:
    """The same, signed in as its administrator."""
    with httpx2.Client(base_url=f"{own.url}/api/v1", timeout=40) as client:
        tokens = client.post("/auth/token", data={"username": own.email, "password": own.password}).json()
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        yield client


@pytest.fixture
def live() -> Iterator[httpx2.Client]:
    """A client of the API that serves in this container; only its open pages are read."""
    port = os.environ.get("API_PORT")
    if not port:
        pytest.skip("API_PORT is not set; these tests are for the container of an API that serves")
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        yield client


def _named(url: str, database: str) -> str:
    """The same server, another database, as an address again."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def _wait(instance: Instance, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"{instance.url}/readyz", timeout=5).status_code == 200:
                return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
