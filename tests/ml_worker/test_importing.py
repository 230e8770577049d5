"""Models brought in from elsewhere: loaded once before they are registered, and refused in a sentence."""

import hashlib
import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from core import bundles, tasks
from core.messages import ImportModelPayload, RecommendPayload
from ml_worker.handlers.registry import HANDLERS
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.popular import Popular
from tests.rigs.lists import stored

HERE = {kind: replace(handler, runs_in_child=False) for kind, handler in HANDLERS.items()}
ITEMS = [f"w{n}" for n in range(10)]


def trained() -> dict[str, bytes]:
    model = Popular()
    model.fit(Interactions.from_events(["u"] * 10, ITEMS, np.arange(1, 11), np.arange(10)))
    return model.save()


def bundled(files, tmp_path, algorithm="popular"):
    version = {
        "algorithm": algorithm, "scope": "full", "parameters": {}, "data_window": {"interaction_count": 10, "last_id": 3}, "metrics": {},
        "training_seconds": 0.5, "created_at": datetime(2026, 11, 1, tzinfo=UTC),
    }  # fmt: skip
    with (tmp_path / "bundle.zip").open("wb") as target:
        bundles.write(target, version, files)
    return bundles.read(tmp_path / "bundle.zip", largest_bytes=1 << 20)[1]


@pytest.fixture
def take(connection, make_slot, tmp_path):
    """Store the files of a bundle, run the task that registers them, and return how it ended."""
    slots = [make_slot(queue, HERE) for queue in ("batch", "interactive")]

    def take(files, **told):
        artifact = slots[0].context.registry.store.put(bundled(files, tmp_path, **told)).key
        task_id = tasks.submit(ImportModelPayload(artifact=artifact, source="upload:test"), owner="alice").run(connection).id
        while sum(slot.work_once() for slot in slots):
            pass
        return connection.execute("SELECT state, result, error FROM tasks WHERE id = %s", (task_id,)).fetchone()

    return take


def changed(files, **members):
    """The files with another model.json, whose checksum of the arrays is right."""
    told = json.loads(files["model.json"])
    return {**files, "model.json": json.dumps({**told, **members}).encode()}


@pytest.mark.usefixtures("catalogue")
def test_the_first_goes_live_and_is_served_the_next_is_a_candidate(connection, take, make_slot):
    state, result, _ = take(trained())
    assert (state, result["goes_live"]) == ("succeeded", True)
    _, second, _ = take(trained())
    assert second["goes_live"] is False
    rows = connection.execute(
        "SELECT id, status, source, data_window ->> 'trained_at', data_window ? 'last_id' FROM model_versions ORDER BY id"
    )
    assert rows.fetchall() == [
        (result["id"], "live", "upload:test", "2026-11-01T00:00:00+00:00", False),
        (second["id"], "candidate", "upload:test", "2026-11-01T00:00:00+00:00", False),
    ]
    assert connection.execute("SELECT DISTINCT model_version_id FROM recommendation_lists").fetchall() == [(result["id"],)]
    tasks.submit(RecommendPayload(user_id="stranger"), owner="alice").run(connection)
    assert make_slot("interactive").work_once()
    assert [entry.item_id for entry in stored(connection, "stranger")[:2]] == ["w9", "w8"]


def test_what_cannot_be_served_is_refused_with_the_reason_and_registered_nowhere(connection, take):
    files = trained()
    garbage = {**files, "arrays.npz": b"no numbers at all"}
    bomb = io.BytesIO()
    np.savez_compressed(bomb, popularity=np.zeros(10_000_000, dtype=np.float32))
    cases = [
        (garbage, "arrays.npz does not have the SHA-256"),
        (changed(garbage, arrays_sha256=hashlib.sha256(garbage["arrays.npz"]).hexdigest()), "arrays.npz cannot be read"),
        (
            changed({**files, "arrays.npz": bomb.getvalue()}, arrays_sha256=hashlib.sha256(bomb.getvalue()).hexdigest()),
            "arrays.npz cannot be read: popularity.npy is compressed or encrypted: it would unpack to 40,0",
        ),
        (changed(files, format=99), "model.json has format 99; this version reads up to 2"),
        (changed(files, algorithm="als"), "config|consists of"),
        (changed(files, algorithm="oracle"), "no algorithm is named 'oracle'"),
    ]
    for broken, reason in cases:
        state, _, error = take(broken, algorithm=json.loads(broken["model.json"])["algorithm"])
        assert (state, error["code"]) == ("failed", "bundle_refused")
        assert any(part in error["message"] for part in reason.split("|")), error["message"]
        assert error["message"].startswith("the bundle from upload:test was not taken: ")
    _, _, error = take(files, algorithm="als")
    assert "its manifest says 'als', its arrays were made by 'popular'" in error["message"]
    assert connection.execute("SELECT count(*) FROM model_versions").fetchone() == (0,)
