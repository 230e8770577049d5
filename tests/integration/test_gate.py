"""The gate at work: a broken model is refused, forced live under audit, and taken back until every list is what it was."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from psycopg import Connection

from tests.rigs.instance import at_work
from tests.rigs.lists import stored
from tests.rigs.tastes import store_two_tastes

BROKEN = {"algorithms": ["als"], "parameters": {"als": {"factors": 1, "iterations": 1, "regularization": 1e6}}}


@pytest.fixture
def tastes(connection: Connection[Any]) -> None:
    store_two_tastes(connection)


class Instance:
    """An administrator of a running app with a worker."""

    def __init__(self, client: httpx2.Client, connection: Connection[Any]) -> None:
        self._client = client
        self._connection = connection

    def get(self, path: str) -> Any:
        return self._client.get(path).json()

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        answer = self._client.post(path, json=body)
        return answer.status_code, answer.json()

    def train(self, payload: dict[str, Any]) -> Any:
        status, task = self.post("/tasks", {"kind": "train", "payload": payload})
        assert status == 202, task
        return self.finished(task["id"])

    def finished(self, task_id: str) -> Any:
        deadline = time.monotonic() + 90
        while (task := self.get(f"/tasks/{task_id}?wait=20"))["finished_at"] is None:
            assert time.monotonic() < deadline, task
        assert task["state"] == "succeeded", task["error"]
        return task["result"]

    def lists(self) -> dict[str, Any]:
        """Every user's list once nothing is being computed any more."""
        deadline = time.monotonic() + 60
        while self._connection.execute("SELECT count(*) FROM tasks WHERE state IN ('queued', 'running')").fetchone() != (0,):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        users = [row[0] for row in self._connection.execute("SELECT user_id FROM recommendation_lists").fetchall()]
        return {user_id: stored(self._connection, user_id) for user_id in users}


@pytest.fixture
def instance(database_url: str, connection: Connection[Any], tastes: None, tmp_path: Path) -> Iterator[Instance]:
    # Without a dispatcher the schedules and the first training, which would be in the way, stay away.
    with at_work(database_url, tmp_path, DISPATCHER="off") as client:
        yield Instance(client, connection)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_broken_model_is_refused_forced_live_under_audit_and_rolled_back_to_identical_lists(instance):
    good = instance.train({"algorithms": ["als"]})
    assert (good["goes_live"], good["models"][0]["verdict"]) == (good["models"][0]["id"], "passed")
    before = instance.lists()
    assert len(before) == 81, "and the administrator's"

    broken = instance.train(BROKEN)
    (model,) = broken["models"]
    assert (broken["goes_live"], model["verdict"]) == (None, "refused")
    assert f"worse than version {good['goes_live']} (als), which is live" in model["reason"]
    assert "95 % interval" in model["reason"]
    version = instance.get(f"/models/{model['id']}")
    assert (version["status"], version["status_reason"]) == ("refused", model["reason"])
    assert version["gate"]["against"]["live"]["high"] < 0
    assert version["metrics"]["values"]["ndcg@10"]["value"] < version["metrics"]["baselines"]["live"]["values"]["ndcg@10"]["value"]
    assert instance.lists() == before, "a refused model touches no list"

    path = f"/models/{model['id']}/promote"
    assert instance.post(path, {})[1]["type"] == "/problems/model-refused-by-gate"
    status, change = instance.post(path, {"force": True, "reason": "to see it"})
    assert (status, change["live"]["id"], change["replaced_id"]) == (200, model["id"], good["goes_live"])
    forced = instance.lists()
    assert {user for user in before if [entry.item_id for entry in before[user]] != [entry.item_id for entry in forced[user]]}

    status, change = instance.post("/models/rollback", {"reason": "seen"})
    assert (status, change["live"]["id"]) == (200, good["goes_live"])
    assert instance.lists() == before, "the very same items, scores and reasons"
    rolled_back, promoted = instance.get("/audit")["data"]
    assert (promoted["action"], promoted["details"]["force"], promoted["details"]["reason"]) == ("model.promote", True, "to see it")
    assert (rolled_back["action"], rolled_back["subject"]) == ("model.rollback", f"model:{good['goes_live']}")
