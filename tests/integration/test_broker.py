"""The whole way through a real broker: app process rings, worker process hears, the task is done; and what happens without."""

import json
import os
import re
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pika
import pytest
from psycopg import Connection

from core import rings, tasks
from core.messages import RecommendPayload
from core.topology import EXCHANGE, broker_queue
from ml_worker.consumer import declare
from tests.rigs.ports import free_port

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(database_url: str, broker_url: str, tmp_path) -> Iterator[Start]:
    """Starts a process of the product on the test's database and broker."""
    started: list[subprocess.Popen[str]] = []
    shared = {
        "DATABASE_URL": database_url,
        "RABBITMQ_URL": broker_url,
        "ARTIFACTS_URL": str(tmp_path),
        "JWT_SECRET": secrets.token_hex(32),
        "ADMIN_EMAIL": "admin@example.com",
        "ADMIN_PASSWORD": "a long enough password",
        "OPENBLAS_NUM_THREADS": "1",
        "POLL_SECONDS": "30",  # so that nothing but a ring can wake a worker in time
    }

    def start(module: str, **environment: str) -> subprocess.Popen[str]:
        environment = {**os.environ, **shared, **environment}
        process = subprocess.Popen([sys.executable, "-m", module], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], words: str) -> str:
    text = ""
    for line in process.stderr:
        text += line
        if words in line:
            return text
    raise AssertionError(text)


@pytest.fixture
def channel(broker_url: str) -> Iterator[Any]:
    """A channel of our own on the broker, everything declared and empty."""
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        declare(channel)
        yield channel


def depth(channel: Any, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count)


def wait_for(what: Callable[[], bool], *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def states(connection: Connection[Any]) -> set[str]:
    return {row[0] for row in connection.execute("SELECT state FROM tasks")}


def test_a_task_goes_through_the_broker_from_the_api_to_a_worker(connection, start, channel):
    connection.execute("INSERT INTO users (id) VALUES ('42')")
    port = free_port()
    app, worker = start("app.main", API_PORT=str(port)), start("ml_worker.main")
    read_until(app, "ringing through the broker")
    read_until(worker, "listening to the broker")
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=20) as client:
        token = client.post("/auth/token", data={"username": "admin@example.com", "password": "a long enough password"}).json()
        client.headers["Authorization"] = f"Bearer {token['access_token']}"
        started = time.monotonic()
        task = client.post("/tasks", json={"kind": "recommend", "payload": {"user_id": "42"}}).json()
        ended = client.get(f"/tasks/{task['id']}", params={"wait": 20}).json()
        assert ended["error"]["code"] == "no_model", ended
        assert time.monotonic() - started < 10, "nobody rang, somebody polled"
        # Submitted by a worker or a batch: the dispatcher hears of it from the database and rings.
        tasks.submit(RecommendPayload(user_id="42"), owner="somebody").run(connection)
        wait_for(lambda: states(connection) == {"failed"}, seconds=10)
    wait_for(lambda: depth(channel, "marquee.interactive") == 0)


def test_rings_that_nobody_understands_are_set_aside_and_disturb_nothing(connection, start, channel):
    stray = tasks.submit(RecommendPayload(user_id="stray"), owner="alice", is_rung=True).run(connection).id
    bodies = [b"", b"{", b'{"v":2,"id":"%s"}' % str(uuid.uuid4()).encode(), b"[]", b"x" * 2_000_000, b'{"v":1,"id":"12"}']
    for body in bodies:
        channel.basic_publish(EXCHANGE, "interactive", body)
    channel.basic_publish(EXCHANGE, "batch", rings.encode(stray))  # of the queue `interactive`
    channel.basic_publish(EXCHANGE, "interactive", rings.encode(uuid.uuid4()))  # of no task: stale
    task_id = tasks.submit(RecommendPayload(user_id="1"), owner="alice", is_rung=True).run(connection).id
    channel.basic_publish(EXCHANGE, "interactive", rings.encode(task_id))

    worker = start("ml_worker.main")
    read_until(worker, "listening to the broker")
    wait_for(lambda: connection.execute("SELECT state FROM tasks WHERE id = %s", (task_id,)).fetchone() == ("failed",))
    wait_for(lambda: depth(channel, "marquee.dead") == len(bodies) + 1)
    wait_for(lambda: depth(channel, "marquee.interactive") == depth(channel, "marquee.batch") == 0)
    assert states(connection) == {"failed"}, "the task whose ring went astray was found all the same"
    reason = channel.basic_get("marquee.dead", auto_ack=True)[1].headers["x-death"][0]["reason"]
    assert reason == "rejected"


def test_a_queue_declared_otherwise_is_named_with_the_argument(start, channel):
    name = broker_queue("batch").name
    channel.queue_delete(name)
    channel.queue_declare(name, durable=True, arguments={**broker_queue("batch").arguments, "x-delivery-limit": 3})
    try:
        told = read_until(start("ml_worker.main"), "no broker")
        assert "x-delivery-limit" in told
        assert name in told
        told = read_until(start("app.main", API_PORT=str(free_port())), "no broker")
        assert "x-delivery-limit" in told
        assert name in told
    finally:
        channel.queue_delete(name)
        declare(channel)


@pytest.mark.parametrize(
    ("replace", "reason"),
    [
        (("guest:guest", "guest:wrong"), "refused"),
        (("/test-", "/nowhere-"), "nowhere|virtual host"),
        (("127.0.0.1", "127.0.0.9"), "refused|Connection"),
        (("amqp://", "amqps://"), "SSL|TLS"),
    ],
    ids=["credentials", "vhost", "nobody there", "tls"],
)
@pytest.mark.parametrize("module", ["ml_worker.main", "app.main"])
def test_a_broker_that_lets_nobody_in_is_named_without_the_password_and_tried_again(start, broker_url, module, replace, reason):
    process = start(module, RABBITMQ_URL=broker_url.replace(*replace), API_PORT=str(free_port()))
    told = read_until(process, "no broker")
    told += read_until(process, "no broker")
    assert re.search(reason, told), told
    assert "guest:" not in told
    assert "Traceback" not in told


def test_without_a_broker_tasks_are_done_by_polling(connection, start):
    worker = start("ml_worker.main", RABBITMQ_URL="amqp://guest:guest@127.0.0.1:1/", POLL_SECONDS="0.2")
    read_until(worker, "no broker")
    tasks.submit(RecommendPayload(user_id="1"), owner="alice").run(connection)
    wait_for(lambda: states(connection) == {"failed"}, seconds=10)


def test_readiness_is_degraded_and_not_down_without_the_broker(start):
    port = free_port()
    app = start("app.main", API_PORT=str(port), RABBITMQ_URL="amqp://guest:guest@127.0.0.1:1/")
    read_until(app, "no broker")
    answer = httpx2.get(f"http://127.0.0.1:{port}/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded"), json.dumps(answer.json())


def test_rings_are_counted_and_their_lag_is_measured(connection, start, channel):
    port = free_port()
    read_until(start("app.main", API_PORT=str(port)), "ringing through the broker")
    tasks.submit(RecommendPayload(user_id="1"), owner="alice").run(connection)
    wait_for(lambda: depth(channel, "marquee.interactive") == 1)

    def metrics() -> str:
        return httpx2.get(f"http://127.0.0.1:{port}/metrics").text

    wait_for(lambda: 'marquee_rings_total{outcome="published",queue="interactive"} 1.0' in metrics())
    wait_for(lambda: 'marquee_ring_lag_seconds_count{path="dispatcher"} 1.0' in metrics())
    assert 'marquee_rings_total{outcome="failed",queue="interactive"} 0.0' in metrics()
