"""The real app on a fresh database, and people of every role who use it."""

import secrets
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import Response
from psycopg import Connection
from starlette.testclient import TestClient

from app.main import create_app
from app.security import AccessTokens
from app.settings import AppSettings

SECRET = secrets.token_hex(32)


@dataclass(frozen=True)
class Person:
    """Somebody signed in: speaks to the API under `/api/v1` with an access token."""

    client: TestClient
    account_id: uuid.UUID
    user_id: str | None
    headers: dict[str, str]

    def get(self, path: str, headers: dict[str, str] | None = None, **options: Any) -> Response:
        return self.client.get(f"/api/v1{path}", headers={**self.headers, **(headers or {})}, **options)

    def post(self, path: str, body: object = None, headers: dict[str, str] | None = None, **options: Any) -> Response:
        return self.client.post(f"/api/v1{path}", json=body, headers={**self.headers, **(headers or {})}, **options)

    def patch(self, path: str, body: object) -> Response:
        return self.client.patch(f"/api/v1{path}", json=body, headers=self.headers)

    def delete(self, path: str) -> Response:
        return self.client.delete(f"/api/v1{path}", headers=self.headers)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> AppSettings:
    return AppSettings(_env_file=None, database_url=database_url, jwt_secret=SECRET, artifacts_url=tmp_path / "artifacts")


@pytest.fixture
def api(settings: AppSettings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
def client(api: FastAPI) -> Iterator[TestClient]:
    """The app between start and end; an unexpected error is answered, not raised."""
    with TestClient(api, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def sign_up(client: TestClient, connection: Connection[Any]) -> Callable[..., Person]:
    """Make an account without going through the slow hashing of passwords."""

    def make(role: str = "user", *, linked: bool = True) -> Person:
        account_id, user_id = uuid.uuid4(), f"u-{uuid.uuid4().hex[:12]}" if linked else None
        if user_id:
            connection.execute("INSERT INTO users (id, name) VALUES (%s, 'Somebody')", (user_id,))
        connection.execute(
            "INSERT INTO accounts (id, email, password_hash, role, user_id) VALUES (%s, %s, 'x', %s, %s)",
            (account_id, f"{account_id}@example.org", role, user_id),
        )
        token = AccessTokens(SECRET, lifetime_seconds=60).issue(account_id)
        return Person(client, account_id, user_id, {"Authorization": f"Bearer {token}"})

    return make


@pytest.fixture
def visitor(sign_up: Callable[..., Person]) -> Person:
    """Somebody with the role user."""
    return sign_up("user")


@pytest.fixture
def admin(sign_up: Callable[..., Person]) -> Person:
    """Somebody with the role admin."""
    return sign_up("admin")


@pytest.fixture
def service(sign_up: Callable[..., Person]) -> Person:
    """An application, which is linked to no user."""
    return sign_up("service", linked=False)


@pytest.fixture
def films(connection: Connection[Any]) -> list[str]:
    """Five films m1 to m5; the last one is hidden."""
    rows = [(f"m{n}", f"Film {n}", ["Comedy" if n % 2 else "Drama", "Film"], n == 5) for n in range(1, 6)]
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO items (id, title, categories, is_hidden) VALUES (%s, %s, %s, %s)", rows)
    return [row[0] for row in rows]


@pytest.fixture
def complaint() -> Callable[[Response], dict[str, str]]:
    """What a problem says of each field."""

    def read(response: Response) -> dict[str, str]:
        assert response.status_code == 422, response.text
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert problem["type"] == "/problems/request-invalid"
        return {error["field"]: error["message"] for error in problem["errors"]}

    return read
