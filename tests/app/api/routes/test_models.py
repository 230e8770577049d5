"""The registry over HTTP."""

import hashlib
import json
from pathlib import Path

import pytest

from core.artifacts import ArtifactStore


@pytest.fixture
def add(connection, settings):
    """Register a version whose artifact is a small file."""
    store = ArtifactStore(settings.artifacts_url)

    def make(algorithm="als", *, status="candidate", **columns):
        stored = store.put({"arrays.npz": algorithm.encode()})
        columns = {"artifact": stored.key, "artifact_bytes": stored.size, "training_seconds": 1.5, "status": status, **columns}
        columns = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in columns.items()}
        names, values = ", ".join(["algorithm", *columns]), [algorithm, *columns.values()]
        holes = ", ".join(["%s"] * len(values))
        return connection.execute(f"INSERT INTO model_versions ({names}) VALUES ({holes}) RETURNING id", values).fetchone()[0]

    return make


def slugs(response):
    return response.status_code, response.json()["type"]


def test_model_versions_are_listed_newest_first_and_by_status(visitor, add):
    assert visitor.get("/models").json() == {"data": [], "next_cursor": None}
    popular = add("popular", status="refused", status_reason="worse than version 3")
    als = add("als", status="live", metrics={"values": {"ndcg@10": {"value": 0.2}}})
    first, second = visitor.get("/models").json()["data"]
    assert (first["id"], first["algorithm"], first["status"], first["artifact_bytes"]) == (als, "als", "live", 3)
    assert first["metrics"] == {"values": {"ndcg@10": {"value": 0.2}}}
    assert (second["id"], second["status_reason"], second["training_seconds"]) == (popular, "worse than version 3", 1.5)
    assert [model["id"] for model in visitor.get("/models?status=live").json()["data"]] == [als]
    page = visitor.get("/models?limit=1").json()
    assert [model["id"] for model in visitor.get(f"/models?limit=1&cursor={page['next_cursor']}").json()["data"]] == [popular]


def test_one_version_is_shown_with_the_checksums_of_its_files(visitor, add):
    model = visitor.get(f"/models/{add()}").json()
    assert model["files"] == {"arrays.npz": {"sha256": hashlib.sha256(b"als").hexdigest(), "size": 3}}
    assert visitor.get(f"/models/{add(artifact=None)}").json()["files"] == {}
    assert slugs(visitor.get("/models/999")) == (404, "/problems/model-not-found")


def test_versions_are_compared_where_they_were_measured_on_the_same_slice(visitor, add):
    one, other = ({"slice": {"first_at": first_at}, "values": {"ndcg@10": {"value": 0.1}}} for first_at in (1, 2))
    first, second, third = add(metrics=one), add("popular", metrics=one), add(metrics=other)
    told = visitor.get(f"/models/compare?ids={second}&ids={first}").json()
    assert ([model["id"] for model in told["data"]], told["metrics"], told["is_same_slice"]) == ([second, first], ["ndcg@10"], True)
    assert visitor.get(f"/models/compare?ids={first}&ids={third}").json()["is_same_slice"] is False
    assert slugs(visitor.get(f"/models/compare?ids={first}&ids=999")) == (404, "/problems/model-not-found")
    assert slugs(visitor.get(f"/models/compare?ids={first}")) == (422, "/problems/request-invalid")


def test_what_was_measured_is_told_as_lines_to_plot(visitor, add):
    def told(value):
        return {"value": value, "low": value - 0.01, "high": value + 0.01}

    metrics = {
        "slice": {"first_at": 1},
        "values": {"ndcg@20": told(0.3), "ndcg@10": told(0.2)},
        "baselines": {"live": {"version": 7, "values": {"ndcg@10": told(0.1)}}},
    }
    evaluation = visitor.get(f"/models/{add(metrics=metrics)}/evaluation").json()
    own, live = evaluation["series"]
    assert (own["metric"], own["name"], [point["k"] for point in own["points"]]) == ("ndcg", "this", [10, 20])
    assert (live["name"], live["version"], live["points"]) == ("live", 7, [{"k": 10, **told(0.1)}])
    assert visitor.get(f"/models/{add()}/evaluation").json() == {"slice": None, "series": []}


def test_a_candidate_goes_live_and_a_rollback_brings_back_what_it_replaced(admin, add, connection):
    oldest, newest = add(status="live"), add("popular")
    promoted = admin.post(f"/models/{newest}/promote", {"reason": "fewer surprises"}).json()
    assert (promoted["live"]["id"], promoted["live"]["status"], promoted["replaced_id"]) == (newest, "live", oldest)
    assert connection.execute("SELECT kind, owner FROM tasks").fetchall() == [("refresh_lists", str(admin.account_id))]
    assert slugs(admin.post(f"/models/{newest}/promote", {})) == (409, "/problems/model-not-promotable")

    back = admin.post("/models/rollback", {"reason": "more surprises"}).json()
    assert (back["live"]["id"], back["replaced_id"], back["live"]["replaced_id"]) == (oldest, newest, None)
    assert back["refresh_task_id"] is None, "one is queued already"
    refused = admin.post("/models/rollback", {})
    assert slugs(refused) == (409, "/problems/model-not-promotable")
    assert f"version {oldest} replaced none" in refused.json()["detail"]
    entries = [(entry["action"], entry["subject"], entry["actor"]) for entry in admin.get("/audit").json()["data"]]
    assert entries == [
        ("model.rollback", f"model:{oldest}", str(admin.account_id)),
        ("model.promote", f"model:{newest}", str(admin.account_id)),
    ]


def test_what_the_gate_refused_takes_force_and_a_reason(admin, add, connection):
    live, refused = add(status="live"), add(status="refused", status_reason="worse than popularity", gate={"verdict": "refused"})
    answer = admin.post(f"/models/{refused}/promote", {})
    assert slugs(answer) == (409, "/problems/model-refused-by-gate")
    assert "worse than popularity" in answer.json()["detail"]
    assert slugs(admin.post(f"/models/{refused}/promote", {"force": True, "reason": " "})) == (422, "/problems/request-invalid")
    assert connection.execute("SELECT id FROM model_versions WHERE status = 'live'").fetchall() == [(live,)]

    assert admin.post(f"/models/{refused}/promote", {"force": True, "reason": "a demo", "refresh_lists": False}).status_code == 200
    (entry,) = admin.get("/audit").json()["data"]
    assert entry["details"] == {"force": True, "reason": "a demo", "status": "refused", "gate": "refused", "replaced": live}


def test_arrays_that_are_gone_or_damaged_do_not_go_live(admin, add, settings):
    live = add(status="live")
    assert slugs(admin.post(f"/models/{add(artifact=None)}/promote", {})) == (409, "/problems/model-not-promotable")
    damaged = add("popular")
    key = admin.get(f"/models/{damaged}").json()["artifact"]
    (Path(settings.artifacts_url) / key / "arrays.npz").write_bytes(b"something else")
    answer = admin.post(f"/models/{damaged}/promote", {})
    assert slugs(answer) == (409, "/problems/model-not-promotable")
    assert "arrays.npz" in answer.json()["detail"]
    assert admin.get("/models?status=live").json()["data"][0]["id"] == live


def test_only_administrators_change_what_is_live(client, visitor, service, add):
    assert client.get("/api/v1/models").status_code == 401
    for person in (visitor, service):
        assert slugs(person.post(f"/models/{add()}/promote", {})) == (403, "/problems/forbidden")
        assert slugs(person.post("/models/rollback", {})) == (403, "/problems/forbidden")
