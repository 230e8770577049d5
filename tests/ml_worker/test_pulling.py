"""The model of MODEL_FILE_ID, from a server that imitates Google Drive's page before large files."""

import io
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest

from core import bundles
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.popular import Popular
from tests.rigs.web import serving

# On one line, as there.
PAGE = (
    "<!DOCTYPE html><html><body><p>Google Drive can't scan this file for viruses.</p>"
    '<form id="download-form" action="http://{host}/download" method="get"><input type="hidden" name="id" value="{id}">'
    '<input type="hidden" name="confirm" value="t"></form></body></html>'
)


def bundle() -> bytes:
    model, target = Popular(), io.BytesIO()
    model.fit(Interactions.from_events(["u"] * 10, [f"w{n}" for n in range(10)], np.arange(1, 11), np.arange(10)))
    version = {"algorithm": "popular", "scope": "full", "parameters": {}, "data_window": {}, "metrics": {}, "training_seconds": 0.5}
    bundles.write(target, {**version, "created_at": datetime.now(UTC)}, model.save())
    return target.getvalue()


class Drive(BaseHTTPRequestHandler):
    """Warns before every file; `good` is a bundle, `cut` a part of one, `gone` is not there."""

    content = b""
    downloads: list[str]

    def do_GET(self):
        path, _, query = self.path.partition("?")
        wanted = query.partition("id=")[2].partition("&")[0]
        body = PAGE.format(host=self.headers["Host"], id=wanted).encode()
        if path == "/download":
            assert "confirm=t" in query
            self.downloads.append(wanted)
            body = self.content if wanted == "good" else self.content[:100]
        self.send_response(404 if wanted == "gone" else 200)
        self.send_header("Content-Type", "application/octet-stream" if path == "/download" else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def drive():
    handler = type("Serving", (Drive,), {"content": bundle(), "downloads": []})
    with serving(handler) as url:
        handler.address = f"{url}/uc?id={{}}"
        yield handler


@pytest.fixture
def start(database_url, tmp_path, drive):
    """Start workers that serve no queue of trainings; they end with the test."""
    started = []

    def start(file_id, count=1):
        environment = {
            **os.environ, "DATABASE_URL": database_url, "ARTIFACTS_URL": str(tmp_path / "artifacts"), "WORKER_QUEUES": "interactive",
            "MODEL_FILE_ID": file_id, "DRIVE_ADDRESS": drive.address, "LOG_FORMAT": "json",
        }  # fmt: skip
        for number in range(count):
            with (tmp_path / f"{file_id}-{number}.log").open("wb") as log:
                started.append(subprocess.Popen([sys.executable, "-m", "ml_worker.main"], env=environment, stderr=log))
        return [tmp_path / f"{file_id}-{number}.log" for number in range(count)]

    yield start
    for process in started:
        process.kill()
        process.wait()


def wait_for(logs, *events):
    """Until every log tells one of the events; the lines that do."""
    deadline = time.monotonic() + 100
    while True:
        told = [[line for line in log.read_text().splitlines() if any(f'"{event}"' in line for event in events)] for log in logs]
        if all(told):
            return [line for lines in told for line in lines]
        assert time.monotonic() < deadline, [log.read_text() for log in logs]
        time.sleep(0.05)


def test_workers_that_start_together_pull_a_model_once_and_serve_it(start, drive, connection):
    connection.execute("INSERT INTO users (id) VALUES ('stranger')")
    connection.execute("INSERT INTO items (id, title) SELECT 'w' || n, 'Western' FROM generate_series(0, 9) n")
    lines = wait_for(start("good", count=2), "model pulled", "model was pulled before")
    assert sorted("was pulled before" in line for line in lines) == [False, True]
    assert drive.downloads == ["good"]
    versions = connection.execute("SELECT id, algorithm, status, source FROM model_versions").fetchall()
    assert versions == [(versions[0][0], "popular", "live", "drive:good")]
    assert connection.execute("SELECT kind FROM tasks").fetchall() == [("refresh_lists",)]
    assert connection.execute("SELECT action, actor FROM audit_entries").fetchall() == [("model.import", "worker")]


def test_a_failure_is_one_line_and_the_worker_goes_on(start, drive, connection):
    for file_id, reason in (("cut", "it is no whole zip file"), ("gone", "the file gone on Google Drive could not be downloaded (404")):
        (log,) = start(file_id)
        (line,) = wait_for([log], "model not pulled")
        assert reason in line
        assert "Traceback" not in log.read_text()
        wait_for([log], "worker ready")
    assert connection.execute("SELECT count(*) FROM model_versions").fetchone() == (0,)
