"""The alert rules and the board read what processes really tell, and Prometheus takes them."""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "observability"
RULES = FOLDER / "prometheus" / "rules.yml"
BOARD = FOLDER / "grafana" / "dashboards" / "marquee.json"
OF_PROMETHEUS = {"up", "ALERTS"}
WORDS = {"by", "or", "and", "unless", "on", "without", "vector", "time", "le"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def scraped(url: str) -> set[str]:
    """The names a process tells, a histogram under the names of its series."""
    deadline = time.monotonic() + 100
    while True:
        try:
            text = httpx2.get(url).text
            break
        except httpx2.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    names: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        for ending in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            names.add(name + ending)
    return names


@pytest.fixture
def told(database_url: str, tmp_path: Path) -> Iterator[set[str]]:
    """Every name that a real app, worker and dispatcher tell."""
    app, worker, dispatcher = free_port(), free_port(), free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "ARTIFACTS_URL": str(tmp_path),
        "JWT_SECRET": secrets.token_hex(32),
        "API_PORT": str(app),
        "WORKER_PORT": str(worker),
        "DISPATCHER_PORT": str(dispatcher),
        "OPENBLAS_NUM_THREADS": "1",
    }
    modules = ("app.main", "ml_worker.main", "app.dispatch")
    processes = [subprocess.Popen([sys.executable, "-m", name], env=environment, stderr=subprocess.DEVNULL) for name in modules]
    try:
        yield {name for port in (app, worker, dispatcher) for name in scraped(f"http://127.0.0.1:{port}/metrics")}
    finally:
        for process in processes:
            process.kill()
            process.wait()


def expressions() -> list[str]:
    """Every PromQL expression of the rules and of the board."""
    board = json.loads(BOARD.read_text())
    of_board = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    of_rules = re.findall(r"^        expr: (.+)$", RULES.read_text(), re.MULTILINE)
    assert len(of_rules) >= 12
    assert len(of_board) >= 35
    return of_board + of_rules + [note["expr"] for note in board["annotations"]["list"]]


def names_in(expression: str) -> set[str]:
    """The metrics an expression reads: its identifiers, less labels, functions, durations and strings."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", "", expression)
    bare = re.sub(r"\b(by|without|on)\s*\([^)]*\)", "", bare)
    return {name for name in re.findall(r"[a-zA-Z_]\w*(?!\w|\s*\()", bare) if name not in WORDS and not re.fullmatch(r"e\d+", name)}


def family(name: str) -> str:
    """The metric of a series."""
    return name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")


def test_rules_and_board_read_what_processes_tell_and_leave_nothing_out(told):
    read = {name for expression in expressions() for name in names_in(expression)}
    assert read - told == OF_PROMETHEUS
    assert {family(name) for name in told if name.startswith("marquee_")} - {family(name) for name in read} == set()
    assert len(read) > 25


def test_the_board_can_be_provisioned():
    board = json.loads(BOARD.read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    source = re.search(r"uid: (\S+)", (FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text())[1]
    assert {panel["datasource"]["uid"] for panel in panels if panel["type"] != "row"} == {source}
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian: apt install prometheus)")
    return found


def test_prometheus_takes_every_query_of_the_board(promtool, tmp_path):
    asked = [expression.replace("$__rate_interval", "5m") for expression in expressions()]
    rules = [{"record": f"board:query{number}", "expr": expression} for number, expression in enumerate(asked)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))  # JSON is YAML too
    done = subprocess.run([promtool, "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, f"{len(asked)} rules found" in done.stdout) == (0, True), done.stdout + done.stderr


def test_prometheus_takes_the_configuration_and_the_alerts_fire_when_they_should(promtool):
    for command in (("check", "config", "prometheus.yml"), ("test", "rules", "rules_test.yml")):
        done = subprocess.run([promtool, *command], cwd=FOLDER / "prometheus", capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_says_what_to_do_and_whom_to_wake():
    alerts = re.split(r"\n      - alert: ", RULES.read_text())[1:]
    assert len(alerts) == RULES.read_text().count("alert:")
    page = (ROOT / "docs" / "how-to" / "operate.md").read_text()
    for alert in alerts:
        name = alert.partition("\n")[0]
        assert re.search(r"labels: \{severity: (page|ticket)\}", alert), name
        assert "summary: " in alert, name
        assert f"`{name}`" in page, f"{name} is not in docs/how-to/operate.md"
