"""Work in a child process: answers, progress, and every way in which it can end badly."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.claims import Claimed
from core.messages import RecommendPayload
from ml_worker.children import ChildFailed, Children
from ml_worker.handlers.base import Job

HANDLERS = """
import logging, os, signal, time
from core.messages import RecommendPayload
from ml_worker.handlers.base import Handler, Product

def obey(jobs, context):
    what = jobs[0].payload.user_id
    if what == "work":
        context.progress(0.5, "half")
        logging.getLogger("obedient").info("inside the child")
    if what == "crash":
        raise ZeroDivisionError("inside")
    if what == "exit":
        os._exit(3)
    if what == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "eat":
        eaten = bytearray(400 * 1024 * 1024)
        eaten[::4096] = b"x" * len(eaten[::4096])
        time.sleep(60)
    if what == "sleep":
        context.progress(0.1, str(os.getpid()))
        time.sleep(60)
    return [Product({"pid": os.getpid()}) for _ in jobs]

HANDLERS = {"recommend": Handler(payload=RecommendPayload, run=obey)}
"""

ORPHAN = """
import sys, uuid
from datetime import UTC, datetime
from core.claims import Claimed
from core.messages import RecommendPayload
from ml_worker.children import Children
from ml_worker.handlers.base import Job
from ml_worker.settings import WorkerSettings

def show(done, note=None):
    if note:
        print(note, flush=True)

if __name__ == "__main__":
    settings = WorkerSettings(_env_file=None, database_url=sys.argv[1])
    task = Claimed(uuid.uuid4(), "recommend", {}, 1, "alice", 1, 3, 1, "worker", None, datetime.now(UTC))
    Children(settings, handlers="obedient").run("recommend", [Job(task, RecommendPayload(user_id="sleep"))], report=show)
"""


@pytest.fixture
def obedient(tmp_path, monkeypatch) -> Path:
    """A folder on the path of new processes with handlers that do what the user id says."""
    (tmp_path / "obedient.py").write_text(HANDLERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)  # multiprocessing hands its path on
    return tmp_path


@pytest.fixture
def run(obedient, settings):
    def run(what: str, *, report=lambda done, note=None: None, **limits):
        children = Children(settings.model_copy(update=limits), handlers="obedient")
        task = Claimed(uuid.uuid4(), "recommend", {}, 1, "alice", 1, 3, 1, "worker", "order-7", datetime.now(UTC))
        return children.run("recommend", [Job(task, RecommendPayload(user_id=what))], report=report)

    return run


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_it_answers_from_another_process_and_reports_progress(run):
    told: list[tuple[float, str | None]] = []
    (product,) = run("work", report=lambda done, note=None: told.append((done, note)))
    assert product.result["pid"] != os.getpid()
    assert (0.5, "half") in told


def test_what_is_logged_inside_carries_the_correlation_id_of_the_request(run, capfd):
    run("work", log_format="json")
    (line,) = [told for told in map(json.loads, capfd.readouterr().err.splitlines()) if told["event"] == "inside the child"]
    assert line["correlation_id"] == "order-7"


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ("crash", "unexpected_error", "the work ended in an unexpected ZeroDivisionError"),
        ("exit", "child_ended", "the work's process ended with code 3 and no answer"),
        ("segfault", "child_killed", "the work's process was ended by SIGSEGV"),
    ],
)
def test_a_bad_end_is_told_by_its_name(run, what, code, message):
    with pytest.raises(ChildFailed, match=message) as failed:
        run(what)
    assert failed.value.code == code


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory another process uses")
def test_too_much_memory_is_refused_with_both_numbers(run):
    with pytest.raises(ChildFailed, match=r"needed \d+ MB of memory, 300 MB are allowed") as failed:
        run("eat", child_memory_mb=300)
    assert failed.value.code == "memory_limit"


def test_too_much_time_ends_it(run):
    with pytest.raises(ChildFailed, match="took longer than 2 s"):
        run("sleep", child_seconds=2.0)


def test_what_the_report_raises_ends_the_child(run):
    pids: list[int] = []

    def report(done: float, note: str | None = None) -> None:
        if note:
            pids.append(int(note))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run("sleep", report=report)
    assert not is_running(pids[0])


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_child_ends_when_its_worker_is_killed(obedient, database_url):
    (obedient / "orphan.py").write_text(ORPHAN)
    parent = subprocess.Popen([sys.executable, obedient / "orphan.py", database_url], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert is_running(child)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 10
    while is_running(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)
