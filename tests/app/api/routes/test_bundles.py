"""Models downloaded and uploaded as one file."""

import json
from pathlib import Path

import pytest

from core.artifacts import ArtifactStore


@pytest.fixture
def version_id(connection, settings):
    stored = ArtifactStore(settings.artifacts_url).put({"arrays.npz": b"numbers", "model.json": b"{}"})
    return connection.execute(
        "INSERT INTO model_versions (algorithm, artifact, artifact_bytes, training_seconds, status, parameters)"
        " VALUES ('als', %s, %s, 1, 'live', %s) RETURNING id",
        (stored.key, stored.size, json.dumps({"factors": 8})),
    ).fetchone()[0]


def upload(person, content):
    return person.client.post(
        "/api/v1/models/import", content=content, headers={**person.headers, "Content-Type": "application/octet-stream"}
    )


def test_a_downloaded_bundle_is_taken_and_handed_to_a_worker(admin, version_id, connection):
    bundle = admin.get(f"/models/{version_id}/bundle")
    assert bundle.headers["content-type"] == "application/zip"
    assert bundle.headers["content-disposition"] == f'attachment; filename="marquee-als-{version_id}.zip"'
    taken = upload(admin, bundle.content)
    assert (taken.status_code, taken.json()["algorithm"]) == (202, "als")
    task = admin.client.get(taken.headers["Location"], headers=admin.headers).json()
    assert (task["kind"], task["state"], task["payload"]["artifact"]) == ("import_model", "queued", taken.json()["artifact"])
    (entry,) = admin.get("/audit").json()["data"]
    assert (entry["action"], entry["subject"]) == ("model.import", f"task:{task['id']}")


def test_what_is_no_bundle_leaves_nothing_behind(admin, version_id, connection):
    bundle = admin.get(f"/models/{version_id}/bundle").content
    for content, reason in ((b"", "no whole zip"), (bundle[:-10], "no whole zip"), (b"x" * 100, "no whole zip")):
        refused = upload(admin, content)
        assert (refused.status_code, refused.json()["type"]) == (422, "/problems/bundle-not-taken")
        assert reason in refused.json()["detail"]
    assert connection.execute("SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM audit_entries)").fetchone() == (0, 0)


def test_a_bundle_may_be_larger_than_other_requests_and_not_without_limit(admin, settings):
    assert upload(admin, b"x" * 11_000_000).json()["type"] == "/problems/bundle-not-taken"
    announced = {**admin.headers, "Content-Length": str(settings.model_bundle_mb * 1_000_000 + 20_000_000)}
    assert admin.client.post("/api/v1/models/import", content=b"", headers=announced).status_code == 413


def test_arrays_that_are_gone_cannot_be_downloaded(admin, version_id, connection, settings):
    key = admin.get(f"/models/{version_id}").json()["artifact"]
    (Path(settings.artifacts_url) / key / "model.json").write_bytes(b"[]")
    damaged = admin.get(f"/models/{version_id}/bundle")
    assert (damaged.status_code, damaged.json()["type"]) == (404, "/problems/model-has-no-artifact")
    connection.execute("UPDATE model_versions SET status = 'retired', artifact = NULL")
    assert "no longer kept" in admin.get(f"/models/{version_id}/bundle").json()["detail"]
    assert admin.get("/models/999/bundle").json()["type"] == "/problems/model-not-found"


def test_only_administrators_carry_models(visitor, service, version_id):
    for person in (visitor, service):
        assert person.get(f"/models/{version_id}/bundle").status_code == 403
        assert upload(person, b"").status_code == 403
