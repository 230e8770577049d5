"""docker-compose.yaml driven end to end through nginx: first list, doors, smoke suite, scaling, kills, restarts under load, data kept.

Needs Docker and builds images, so it runs only when asked to: `make compose`. The tests are chapters of one story and keep their order.
"""

import base64
import json
import os
import re
import secrets
import socket
import sys
import threading
import time
from contextlib import contextmanager

import httpx2
import pytest

from tests.rigs.compose import PROFILES, Deployment, docker, wait_for, why_not

pytestmark = pytest.mark.timeout(1200)

ALARMS = re.compile(
    r"""(?m)^.*(?: "level":\ "(?:warning|error|critical)" | \b(?:WARNING|ERROR|FATAL|PANIC|Traceback|\w+Warning)\b
    | \[(?:warn|error|crit|alert|emerg)\] | \bwarning:\ ).*$""",
    re.VERBOSE,
)
OURS = ("app", "ml_worker", "streamlit_ui", "migrate", "seed", "ready", "secrets")
STORY_TABLES = ("accounts", "users", "items", "interactions")  # what only clients write; schedules make tasks and lists at any time


@pytest.fixture(scope="module", autouse=True)
def docker_at_hand():
    if os.environ.get("MARQUEE_COMPOSE") != "1":
        pytest.skip("drives containers for some minutes: `make compose` (MARQUEE_COMPOSE=1) asks for it")
    if reason := why_not():
        pytest.skip(f"Docker is not at hand: {reason}")


@pytest.fixture(scope="module")
def deployment(docker_at_hand):
    """Everything up from nothing, and away again with its data."""
    deployment = Deployment()
    deployment.compose("build")
    try:
        deployment.up()
        yield deployment
    finally:
        deployment.down("--volumes", "--remove-orphans")


@pytest.fixture(scope="module")
def admin(deployment):
    with signed_in(deployment, "admin@example.com", deployment.admin_password()) as client:
        yield client


@contextmanager
def signed_in(deployment, email, password):
    with httpx2.Client(base_url=f"{deployment.api_url}/api/v1", timeout=60) as client:
        answer = client.post("/auth/token", data={"username": email, "password": password})
        assert answer.status_code == 200, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


class Load(threading.Thread):
    """Asks for lists one after the other, each under a key until it is acknowledged, and remembers what was."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self._client, self._stopping = client, threading.Event()
        self.user_ids = [user["id"] for user in client.get("/users", params={"limit": 100}).json()["data"]]
        self.accepted, self.refusals = [], 0

    def run(self):
        while not self._stopping.wait(0.02):
            user_id = self.user_ids[len(self.accepted) % len(self.user_ids)]
            ask = {"json": {"kind": "recommend", "payload": {"user_id": user_id}}, "headers": {"Idempotency-Key": secrets.token_hex(8)}}
            while not self._stopping.is_set():
                try:
                    answer = self._client.post("/tasks", **ask)
                except httpx2.TransportError:
                    answer = None
                if answer is not None and answer.status_code == 202:
                    self.accepted.append(answer.json()["id"])
                    break
                assert answer is None or answer.status_code >= 500, answer.text
                self.refusals += 1
                time.sleep(0.3)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_exception):
        self._stopping.set()
        self.join()

    def go_on_for(self, count):
        """Let so many more be accepted."""
        goal = len(self.accepted) + count
        wait_for(lambda: len(self.accepted) >= goal)

    def check_every_one_succeeded(self, deployment):
        """Every acknowledged task exists and succeeded; none twice."""
        assert len(set(self.accepted)) == len(self.accepted) > 0
        wait_for(lambda: deployment.sql("SELECT count(*) FROM tasks WHERE state IN ('queued', 'running')") == "0")
        states = deployment.sql("SELECT id || ' ' || state FROM tasks WHERE kind = 'recommend'").splitlines()
        found = dict(line.split(" ") for line in states)
        assert {found.get(task_id, "gone") for task_id in self.accepted} == {"succeeded"}


def test_the_file_is_clean_for_every_profile(docker_at_hand):
    deployment = Deployment()
    for options in ([], *(["--profile", name] for name in PROFILES), ["--env-file", ".env.example"]):
        done = deployment.compose(*options, "config", "--quiet")
        assert (done.stdout, done.stderr) == ("", "")


def test_from_the_start_to_a_first_personal_list(deployment, record_property):
    person = {"email": f"visitor-{secrets.token_hex(4)}@example.com", "password": "a long enough password"}
    registered = httpx2.post(f"{deployment.api_url}/api/v1/auth/register", json=person)
    assert registered.status_code == 201, registered.text
    with signed_in(deployment, person["email"], person["password"]) as client:
        films, entries = rate_and_ask(client, registered.json()["user_id"])
    seconds = time.monotonic() - deployment.started_at
    record_property("seconds_to_first_list", round(seconds, 1))
    sys.stderr.write(f"\nfirst personal list {seconds:.1f} s after `docker compose up`\n")
    assert len(entries) == 20
    assert {film["id"] for film in films}.isdisjoint(entry["item"]["id"] for entry in entries)


def rate_and_ask(client, user_id):
    category = client.get("/categories").json()["data"][3]["name"]
    films = client.get("/items/popular", params={"category": category, "limit": 5}).json()["data"]
    for film in films:
        assert client.post("/interactions", json={"item_id": film["id"], "type": "rating", "value": 5}).status_code == 201

    def personal():
        task = client.post("/tasks", json={"kind": "recommend", "payload": {"user_id": user_id}}).json()
        client.get(f"/tasks/{task['id']}", params={"wait": 20})
        found = client.get(f"/recommendations/{user_id}", params={"count": 20}).json()
        return found if any(entry["reason"]["items"] for entry in found["entries"]) else None  # until a model is there: what is popular

    return films, wait_for(personal)["entries"]


def test_nobody_warns_at_the_start(deployment):
    told = deployment.logs(*OURS, "db", "nginx")
    assert ALARMS.findall(told) == []
    told_by_broker = deployment.logs("rabbitmq")
    # What every RabbitMQ says of the empty store of a new virtual host, and of the statistics of its management pages.
    known = [
        "rebuilding indices from scratch",
        *re.findall(r"(<[\d.]+>) Deprecated features: `management_metrics_collection`", told_by_broker),
    ]
    of_the_broker = re.findall(r"(?m)^.*\[(?:warning|error)\].*$", told_by_broker)
    assert [line for line in of_the_broker if not any(part in line for part in known)] == []


def test_everybody_is_confined_and_no_secret_shows(deployment):
    holders = {"app": "jwt_secret admin_password database_url rabbitmq_url", "db": "database_password database_superuser_password"}
    values = [
        deployment.compose("exec", "-T", service, "cat", f"/run/secrets/{name}").stdout.strip()
        for service, names in holders.items()
        for name in names.split()
    ]
    assert all(len(value) >= 16 for value in values)
    containers = deployment.containers(everything=True)
    assert len(containers) == 11
    for container in containers:
        host, described = container["HostConfig"], json.dumps(container)
        assert [value for value in values if value in described] == [], container["Name"]
        is_limited = host["Memory"] > 0 and host["PidsLimit"] > 0 and host["LogConfig"]["Config"]["max-size"] == "10m"
        is_bound = host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and "no-new-privileges:true" in host["SecurityOpt"]
        assert is_limited, container["Name"]
        assert is_bound, container["Name"]
        ports = [binding["HostIp"] for bindings in (host["PortBindings"] or {}).values() for binding in bindings]
        assert set(ports) <= {"127.0.0.1"}
        if container["State"]["Running"]:
            assert docker("exec", container["Id"], "id", "-u").strip() != "0", container["Name"]


def test_each_reads_only_the_secrets_it_needs(deployment):
    for service, name in (
        ("ml_worker", "jwt_secret"),
        ("rabbitmq", "database_url"),
        ("db", "admin_password"),
        ("app", "database_password"),
    ):
        done = deployment.compose("exec", "-T", service, "cat", f"/run/secrets/{name}", check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert "Permission denied" in done.stderr


def test_images_hold_what_their_process_needs_and_nothing_else(deployment):
    absent = {"app": "numpy scipy implicit ml_worker streamlit", "ml_worker": "fastapi uvicorn app", "streamlit_ui": "psycopg core app"}
    for service, names in absent.items():
        code = f"import importlib.util as u; print([n for n in {names.split()!r} if u.find_spec(n)])"
        assert deployment.compose("exec", "-T", service, "python", "-c", code).stdout.strip() == "[]"


def test_the_door_of_the_api(deployment):
    with httpx2.Client(base_url=deployment.api_url, timeout=30) as client:
        assert client.get("/docs").status_code == 200
        assert client.get("/").headers["location"].endswith("/docs")
        for path in ("/metrics", "/%6detrics", "/metrics?x=1", "/metrics/"):
            assert client.get(path, follow_redirects=True).status_code == 404
        answer = client.get("/api/v1/categories", headers={"X-Correlation-ID": "story-1", "X-Forwarded-For": "203.0.113.9"})
        assert answer.headers.get_list("x-correlation-id") == ["story-1"]
        for name in ("x-content-type-options", "x-frame-options", "referrer-policy", "content-security-policy"):
            assert len(answer.headers.get_list(name)) == 1
        too_large = client.post("/api/v1/auth/register", content=b" " * 12_000_000, headers={"Content-Type": "application/json"})
        assert (too_large.status_code, too_large.json()["type"]) == (413, "/problems/body-too-large")
    line = next(json.loads(line) for line in deployment.logs("app").splitlines() if '"story-1"' in line)
    assert line["client"] == f"{deployment.prefix}.1"  # the machine, as nginx sees it, and not what the client claims


def test_the_door_of_the_interface_passes_websockets(deployment):
    assert httpx2.get(deployment.ui_url).status_code == 200
    with socket.create_connection(("127.0.0.1", deployment.ui_port), timeout=30) as connection:
        connection.sendall(
            f"GET /_stcore/stream HTTP/1.1\r\nHost: 127.0.0.1:{deployment.ui_port}\r\nOrigin: {deployment.ui_url}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(secrets.token_bytes(16)).decode()}\r\n\r\n".encode()
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 101 ")


def test_events_come_as_they_happen(deployment, admin):
    asked = admin.post("/tasks", json={"kind": "train", "payload": {}}).json()
    task_id = asked.get("id") or asked["task_id"]  # one that a schedule has asked for just now
    with admin.stream("GET", f"/tasks/{task_id}/events") as answer:
        lines = answer.iter_lines()
        first = next(line for line in lines if line.startswith("event:"))
        state = admin.get(f"/tasks/{task_id}").json()["state"]
        assert (first, state in {"queued", "running"}) == ("event: progress", True)  # told before it is over: nothing is held back
        assert next(line for line in lines if line == "event: finished")


def test_the_smoke_suite_passes_inside_and_touches_nothing(deployment):
    def counts():
        return [deployment.sql(f"SELECT count(*) FROM {table}") for table in STORY_TABLES] + [
            deployment.sql("SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database")
        ]

    before = counts()
    told = docker("exec", deployment.app, "pytest", "-v")
    assert re.search(r"\b(\d+) passed", told)
    assert "skipped" not in told
    assert counts() == before


def lists_made(container):
    """How many tasks a worker has finished, from its metrics."""
    ask = "exec 3<>/dev/tcp/127.0.0.1/9000 && printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3"
    found = re.search(
        r'marquee_worker_tasks_total\{kind="recommend",outcome="succeeded"\} (\S+)', docker("exec", container["Id"], "bash", "-c", ask)
    )
    return float(found[1]) if found else 0.0


def test_workers_go_from_two_to_four_under_load(deployment, admin):
    with Load(admin) as load:
        load.go_on_for(20)
        deployment.compose("up", "-d", "--no-recreate", "--wait", "--scale", "ml_worker=4")
        workers = deployment.containers("ml_worker")
        assert len(workers) == 4
        wait_for(lambda: all(lists_made(worker) > 0 for worker in workers))
    load.check_every_one_succeeded(deployment)


def test_killed_workers_and_a_killed_app_come_back_and_lose_nothing(deployment, admin):
    with Load(admin) as load:
        for service in ("ml_worker", "ml_worker", "app"):
            load.go_on_for(20)
            victim = deployment.containers(service)[0]
            deployment.crash(victim["Id"])
            wait_for(lambda victim=victim: json.loads(docker("inspect", victim["Id"]))[0]["RestartCount"] > victim["RestartCount"])
        load.go_on_for(20)
    load.check_every_one_succeeded(deployment)


@pytest.mark.parametrize("server", ["db", "rabbitmq"])
def test_a_server_restarts_under_load(deployment, admin, server):
    with Load(admin) as load:
        load.go_on_for(20)
        deployment.compose("restart", server)
        load.go_on_for(50)
    load.check_every_one_succeeded(deployment)
    wait_for(lambda: admin.get(f"{deployment.api_url}/readyz").json()["status"] == "ok")


def test_sign_ins_are_limited_and_other_requests_are_not(deployment):
    with httpx2.Client(base_url=deployment.api_url, timeout=60) as client:
        guesses = [client.post("/api/v1/auth/token", data={"username": f"a{number}@b.c", "password": "x"}) for number in range(15)]
        refused = [guess for guess in guesses if guess.status_code == 429]
        assert refused
        assert (refused[0].json()["status"], refused[0].headers["retry-after"]) == (429, "3")
        assert all(client.get("/livez").status_code == 200 for _ in range(30))


def test_down_and_up_again_keeps_data_and_secrets(deployment, admin):
    password = deployment.admin_password()
    before = {table: deployment.sql(f"SELECT count(*) FROM {table}") for table in ("accounts", "items", "interactions", "model_versions")}
    deployment.down()
    deployment.up()
    assert deployment.admin_password() == password
    assert {table: deployment.sql(f"SELECT count(*) FROM {table}") for table in before} == before
    with signed_in(deployment, "admin@example.com", password) as client:
        assert client.get("/recommendations/admin", params={"count": 5}).json()["entries"]
    assert "there is data already" in deployment.logs("seed")
