"""The registry over HTTP."""


def test_model_versions_are_listed_newest_first(visitor, connection):
    assert visitor.get("/models").json() == {"data": []}
    for algorithm, is_current in (("popular", False), ("als", True)):
        connection.execute(
            "INSERT INTO model_versions (algorithm, artifact, artifact_bytes, training_seconds, metrics, is_current)"
            """ VALUES (%s, 'hash', 10, 1.5, '{"ndcg": 0.2}', %s)""",
            (algorithm, is_current),
        )
    first, second = visitor.get("/models").json()["data"]
    assert (first["algorithm"], first["is_current"], first["metrics"], first["artifact_bytes"]) == ("als", True, {"ndcg": 0.2}, 10)
    assert (second["algorithm"], second["is_current"], second["training_seconds"]) == ("popular", False, 1.5)
    assert first.keys() == {
        "id", "algorithm", "is_current", "metrics", "parameters", "data_window", "artifact_bytes", "training_seconds", "created_at"
    }  # fmt: skip


def test_models_are_for_those_who_signed_in(client):
    assert client.get("/api/v1/models").status_code == 401
