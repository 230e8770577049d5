"""The running product for a benchmark: PostgreSQL, RabbitMQ, the app and a worker as processes, a trained model, and clients."""

import os
import secrets
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import httpx2
import psycopg
from psycopg import Connection

from app.security import AccessTokens
from benchmarks.drawn_interactions import draw
from benchmarks.servers import fresh_database
from core import tasks
from core.artifacts import ArtifactStore
from core.database import make_pool, transaction
from core.messages import RecommendPayload
from ml_worker.recommenders.als import Als
from ml_worker.recommenders.base import Recommender, ignore
from ml_worker.recommenders.ease import Ease
from ml_worker.recommenders.interactions import Interactions
from ml_worker.registry import Registry, TrainedModel, window
from ml_worker.workbench.source import read_interactions
from tests.rigs.ports import free_port
from tests.rigs.rabbitmq import PrivateRabbitMQ

START_SECONDS = 120.0
LARGE: Final = {"users": 100_000, "items": 50_000, "events": 1_000_000}
"""The size of a larger catalogue, as `draw` takes it."""
_ROWS = 100_000


def given_or_drawn(**size: int) -> Interactions:
    """MovieLens in the folder that MARQUEE_MOVIELENS names, so that cases of middle size are measured on real data, else so many drawn."""
    folder = os.environ.get("MARQUEE_MOVIELENS")
    return read_interactions(folder, progress=ignore) if folder else draw(**size)


@dataclass(slots=True)
class Product:
    """`client` speaks as a service, under `/api/v1`."""

    database_url: str
    connection: Connection[Any]
    client: httpx2.Client
    url: str
    interactions: Interactions
    headers: dict[str, str] = field(default_factory=dict)

    def register(self) -> str:
        """A user registered just now, with a chosen category."""
        user_id = f"new-{uuid.uuid4().hex}"
        self.client.post("/users", json={"id": user_id, "preferred_categories": ["c0"]}).raise_for_status()
        return user_id

    def click(self, user_id: str, item_id: str) -> float:
        """Milliseconds from sending an event until a list that knows it has been read."""
        started = time.perf_counter()
        self.client.post("/interactions", json={"user_id": user_id, "item_id": item_id, "type": "like"}).raise_for_status()
        while True:
            answer = self.client.get(f"/recommendations/{user_id}", params={"fresh": True, "wait": 10})
            if not answer.raise_for_status().json()["is_stale"]:
                return (time.perf_counter() - started) * 1000


def load(connection: Connection[Any], interactions: Interactions) -> None:
    """Users, items with categories, and interactions, as tables."""
    items, users = interactions.item_ids, interactions.user_ids
    of_items = (f"{item_id}\tItem {place}\t{{c{place % 18},c{place % 7}}}\n" for place, item_id in enumerate(items))
    columns = (interactions.users.tolist(), interactions.items.tolist(), interactions.times.tolist())
    events = (
        f"{users[user]}\t{items[item]}\tlike\t1\t2020-01-01 00:00:00+00:{second // 3600 % 60:02}\n"
        for user, item, second in zip(*columns, strict=True)
    )
    with connection.cursor() as cursor:
        for table, lines in (
            ("items (id, title, categories)", of_items),
            ("users (id)", (f"{user_id}\n" for user_id in users)),
            ("interactions (user_id, item_id, type, value, occurred_at)", events),
        ):
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                while part := "".join(islice(lines, _ROWS)):
                    copy.write(part)
    connection.execute("ANALYZE")


def publish(url: str, folder: str, interactions: Interactions, model: Recommender | None = None) -> None:
    """Train a model, the linear one unless another is given, and put it live."""
    model = model or Ease()
    model.fit(interactions)
    registry = Registry(ArtifactStore(Path(folder)))
    with make_pool(url, max_size=2) as pool, transaction(pool) as connection:
        submitted = tasks.submit(RecommendPayload(user_id="nobody"), owner="bench").run(connection)
        assert submitted is not None
        tasks.request_cancel(submitted.id).run(connection)
        trained = TrainedModel(model, window(interactions, last_id=len(interactions)), 0.0)
        _, statements = registry.publish(connection, [trained], task_id=submitted.id, replaced_id=None, keep=10)
        for statement in statements:
            statement.run(connection)


@contextmanager
def running(quick: bool, *, is_large: bool = False) -> Iterator[Product]:
    """The product at work, with one worker; a large catalogue is drawn, and served by ALS."""
    size = {"users": 300, "items": 1000, "events": 20_000} if quick else {"users": 6040, "items": 3700, "events": 600_000}
    interactions = draw(**LARGE) if is_large else given_or_drawn(**size)
    with (
        fresh_database() as url,
        tempfile.TemporaryDirectory(prefix="marquee-bench-") as folder,
        psycopg.connect(url, autocommit=True) as connection,
        PrivateRabbitMQ(Path(folder) / "broker") as broker,
    ):
        load(connection, interactions)
        publish(url, f"{folder}/artifacts", interactions, Als(Als.Config(iterations=2)) if is_large else None)
        yield from _serve(url, folder, broker.url, connection, interactions)


def _serve(url: str, folder: str, broker_url: str, connection: Connection[Any], interactions: Interactions) -> Iterator[Product]:
    secret, port, worker_port = secrets.token_hex(32), free_port(), free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "RABBITMQ_URL": broker_url,
        "ARTIFACTS_URL": f"{folder}/artifacts",
        "JWT_SECRET": secret,
        "API_PORT": str(port),
        "WORKER_PORT": str(worker_port),
        "WORKER_QUEUES": "interactive,batch",
        "LOG_LEVEL": "error",
    }
    account = uuid.uuid4()
    sql = "INSERT INTO accounts (id, email, password_hash, role) VALUES (%s, 'bench@example.org', 'x', 'service')"
    connection.execute(sql, (account,))
    headers = {"Authorization": f"Bearer {AccessTokens(secret, lifetime_seconds=86_400).issue(account)}"}
    processes = [subprocess.Popen([sys.executable, "-m", name], env=environment) for name in ("app.main", "ml_worker.main")]
    try:
        base = f"http://127.0.0.1:{port}"
        for address in (f"{base}/readyz", f"http://127.0.0.1:{worker_port}/readyz"):
            wait_for(address)
        with httpx2.Client(base_url=f"{base}/api/v1", headers=headers, timeout=30) as client:
            yield Product(url, connection, client, f"{base}/api/v1", interactions, headers)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)


def wait_for(address: str) -> None:
    """Return when the address answers 200."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx2.get(address, timeout=5).status_code == httpx2.codes.OK:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"{address} does not answer")
