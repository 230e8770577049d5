"""The example of a recommender of another package: built, installed beside a worker, trained and served by it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core import tasks
from core.messages import RecommendPayload, TrainPayload
from tests.rigs.lists import stored

ROOT = Path(__file__).parents[2]
BROKEN = """[marquee.recommenders]
als = marquee_together.together:Together
gone = marquee_together.nowhere:Gone
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The wheel of the example; Python imports from it as it is, and finds its entry points."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT / "examples/plugin", check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def packages(wheel, tmp_path) -> str:
    """Where the worker finds the example, and a package whose algorithms cannot be used."""
    metadata = tmp_path / "packages" / "broken-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(BROKEN)
    return os.pathsep.join(map(str, (ROOT, wheel, metadata.parent)))


# A build, a worker and a training in its child each import everything: seconds on an idle machine, minutes on a crowded one.
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_worker_trains_and_serves_it_and_leaves_out_what_is_broken(packages, connection, catalogue, database_url, tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": packages,
        "DATABASE_URL": database_url,
        "ARTIFACTS_URL": str(tmp_path / "artifacts"),
        "OPENBLAS_NUM_THREADS": "1",
    }
    payload = TrainPayload(algorithms=("together",), parameters={"together": {"damping": 0.4}}, refresh_lists=False)
    trained = tasks.submit(payload, owner="alice").run(connection)
    worker = subprocess.Popen([sys.executable, "-m", "ml_worker.main"], env=environment, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        assert ended(connection, trained.id) == "succeeded"
        asked = tasks.submit(RecommendPayload(user_id="u3"), owner="alice").run(connection)
        assert ended(connection, asked.id) == "succeeded"
    finally:
        worker.send_signal(signal.SIGTERM)
        log = worker.communicate(timeout=60)[1]
    assert worker.returncode == 0, log
    assert connection.execute("SELECT algorithm, parameters FROM model_versions").fetchall() == [("together", {"damping": 0.4})]
    entries = stored(connection, "u3")
    assert entries[0].item_id == "c1", "the comedy that u3 has not met, liked by all who like comedies"
    assert entries[0].reason.item_ids
    told = [line for line in log.splitlines() if "plug-in left out" in line]
    assert len(told) == 2
    assert "the algorithm 'als' of the package broken 1.0 cannot be used: Marquee has one of this name" in told[0]
    assert "the algorithm 'gone' of the package broken 1.0 cannot be used: importing marquee_together.nowhere:Gone ended in" in told[1]
    assert "Traceback" not in log


def ended(connection, task_id) -> str:
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        ((state, error),) = connection.execute("SELECT state, error FROM tasks WHERE id = %s", (task_id,)).fetchall()
        if state not in {"queued", "running"}:
            return state if error is None else f"{state}: {error}"
        time.sleep(0.05)
    return "not at all"
