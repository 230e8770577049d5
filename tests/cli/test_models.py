"""`marquee models` as people run it."""

import json

import pytest

from core.artifacts import ArtifactStore


@pytest.fixture
def marquee(run_marquee, tmp_path, database_url):
    """Runs `marquee models …` on the test's database and artifacts."""
    settings = {"DATABASE_URL": database_url, "ARTIFACTS_URL": str(tmp_path / "artifacts"), "LOGNAME": "operator"}
    return lambda *arguments: run_marquee("models", *arguments, **settings)


@pytest.fixture
def add(connection, tmp_path):
    store = ArtifactStore(tmp_path / "artifacts")

    def make(status="candidate", value=0.2, **columns):
        stored = store.put({"arrays.npz": b"numbers", "model.json": b"{}"})
        metrics = {"slice": {"first_at": 1}, "values": {"ndcg@10": {"value": value, "low": value - 0.01, "high": value + 0.01}}}
        columns = {"artifact": stored.key, "artifact_bytes": 9, "training_seconds": 1, "metrics": json.dumps(metrics), **columns}
        names, holes = ", ".join(["algorithm", "status", *columns]), ", ".join(["'als'", "%s", *["%s"] * len(columns)])
        statement = f"INSERT INTO model_versions ({names}) VALUES ({holes}) RETURNING id"
        return connection.execute(statement, [status, *columns.values()]).fetchone()[0]

    return make


def test_versions_are_listed_shown_and_compared(marquee, add):
    assert marquee("list").out == "No models.\n"
    live, refused = add("live"), add("refused", 0.1, status_reason="worse than popularity")
    lines = [line.split() for line in marquee("list").out.splitlines()[1:]]
    assert [(line[0], line[1], line[3]) for line in lines] == [(str(refused), "als", "refused"), (str(live), "als", "live")]
    assert lines[0][-3:] == ["worse", "than", "popularity"]
    assert len(marquee("list", "--status", "live").out.splitlines()) == 2
    assert marquee("list", "--status", "lost").code == 2
    told = marquee("show", live).out
    assert "arrays.npz: 7 bytes, SHA-256 " in told
    assert ["ndcg@10", "0.2000", "(0.1900–0.2100)"] in [line.split() for line in told.splitlines()]
    assert marquee("show", 999).err == "marquee: there is no model version 999\n"
    (row,) = [line for line in marquee("compare", live, refused).out.splitlines() if line.startswith("ndcg@10")]
    assert row.split() == ["ndcg@10", "0.2000", "(0.1900–0.2100)", "0.1000", "(0.0900–0.1100)"]
    other = add(metrics=json.dumps({"slice": {"first_at": 2}}))
    assert "measured on different slices" in marquee("compare", live, other).out
    assert marquee("compare", other, add(metrics="{}")).err == "marquee: none of these versions was measured\n"


def test_a_version_is_shown_as_people_read_it(marquee, add):
    window = {"interaction_count": 1200, "user_count": 30, "item_count": 40, "first_at": 0, "last_at": 86_400, "last_id": 7}
    values = {"ndcg@10": {"value": 0.2, "low": 0.1, "high": 0.3}}
    rival = {"version": 3, "values": {"ndcg@10": {"value": 0.1, "low": None, "high": None}}}
    part = {"user_count": 25, "first_at": 0, "last_at": 60, "is_seen": False}
    metrics = {"slice": part, "values": values, "baselines": {"live": rival}}
    gate = {"verdict": "passed", "reason": "not worse than version 3"}
    version = add(**{name: json.dumps(told) for name, told in (("data_window", window), ("metrics", metrics), ("gate", gate))})
    told = [" ".join(line.split()) for line in marquee("show", version).out.splitlines()]
    assert "data_window 1,200 interactions of 30 users and 40 items, 1970-01-01 00:00 to 1970-01-02 00:00 UTC" in told
    assert "measured_on 25 users, 1970-01-01 00:00 to 1970-01-01 00:01 UTC" in told
    assert "gate passed: not worse than version 3" in told
    last = {"slice": {**part, "kind": "last_of_each", "share": 0.1, "most_of_each": 10}}
    assert [line for line in told if "metric" in line or "ndcg" in line] == ["metric this live 3", "ndcg@10 0.2000 (0.1000–0.3000) 0.1000"]
    last = {"slice": {**part, "kind": "last_of_each", "share": 0.1, "most_of_each": 10}}
    shown = " ".join(marquee("show", add(metrics=json.dumps(last))).out.split())
    assert "25 users, at most 10 of the last events of each, 1970-01-01 00:00 to 1970-01-01 00:01 UTC" in shown


def test_promoting_and_rolling_back_are_remembered_and_refused_where_they_must_be(marquee, add, connection):
    live, refused = add("live"), add("refused", status_reason="worse than popularity")
    assert "the gate refused version" in marquee("promote", refused).err
    assert "takes a reason" in marquee("promote", refused, "--force").err
    assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
    done = marquee("promote", refused, "--force", "--reason", "a demo")
    assert done.out == f"Version {refused} is live in place of {live}.\n"
    assert connection.execute("SELECT kind FROM tasks").fetchall() == [("refresh_lists",)]
    assert "model.promote by cli:operator: a demo" in marquee("show", refused).out
    assert marquee("promote", refused).err == f"marquee: version {refused} is live already\n"
    assert marquee("rollback", "--no-refresh").out == f"Version {live} is live again in place of {refused}.\n"
    assert "there is nothing to go back to" in marquee("rollback").err
    actions = connection.execute("SELECT action, actor, details ->> 'reason' FROM audit_entries ORDER BY id").fetchall()
    assert actions == [("model.promote", "cli:operator", "a demo"), ("model.rollback", "cli:operator", None)]
    assert "no longer kept" in marquee("promote", add(artifact=None)).err


def test_a_version_is_carried_as_a_file(marquee, add, connection, tmp_path):
    version = add()
    assert marquee("export", version, "best.zip").code == 0
    assert marquee("export", version, "best.zip").err == "marquee: best.zip cannot be written: File exists\n"
    taken = marquee("import", "best.zip", "--wait", 0)
    assert "registers it when a worker takes it" in taken.out
    assert connection.execute("SELECT kind, state, owner, payload ->> 'source' FROM tasks").fetchall() == [
        ("import_model", "queued", "cli:operator", "file:best.zip")
    ]
    (tmp_path / "best.zip").write_bytes((tmp_path / "best.zip").read_bytes()[:-30])
    assert marquee("import", "best.zip").err.startswith("marquee: best.zip is not taken: it is no whole zip file")
    assert marquee("import", "none.zip").err == "marquee: none.zip is not taken: it cannot be read: No such file or directory\n"
