"""What a task yielded, from its row or from the artifact store."""

import hashlib
import json
import uuid
from pathlib import Path

import pytest

from core import claims
from core.artifacts import RESULT_FILE, ArtifactStore

ITEMS = [{"user_id": f"u{n}", "outcome": "computed"} for n in range(450)]


@pytest.fixture
def succeed(service, connection):
    """Make a task of the service that has succeeded with this result."""

    def make(result, **stored):
        connection.execute("INSERT INTO users (id) VALUES ('someone') ON CONFLICT DO NOTHING")
        task_id = service.post("/tasks", {"kind": "recommend_many", "payload": {"user_ids": ["someone"]}}).json()["id"]
        (claimed,) = claims.claim_next("batch", lease_owner="test", lease_seconds=30, limit=1).run(connection).tasks
        claims.complete([claims.Outcome(claimed, result, **stored)]).run(connection)
        return task_id

    return make


@pytest.fixture
def store(settings):
    return ArtifactStore(settings.artifacts_url)


@pytest.fixture
def large(succeed, store):
    """A task whose result is in the store: its id, the bytes and their artifact."""
    content = json.dumps({"user_count": 450, "items": ITEMS, "padding": "x" * 1_000_000}).encode()
    stored = store.put({RESULT_FILE: content})
    return succeed({"user_count": 450}, artifact=stored.key, artifact_bytes=stored.size), content, stored


def test_a_small_result_is_whole_in_the_task_and_apart(service, succeed):
    result = {"items": ITEMS[:2], "title": "Amélie"}
    task_id = succeed(result)
    told = service.get(f"/tasks/{task_id}").json()
    assert (told["result"], told["result_bytes"]) == (result, None)
    answer = service.get(f"/tasks/{task_id}/result")
    assert answer.json() == result
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'


def test_a_large_result_is_streamed_with_its_size_and_hash(service, large):
    task_id, content, _ = large
    told = service.get(f"/tasks/{task_id}").json()
    assert (told["result"], told["result_bytes"]) == ({"user_count": 450}, len(content))
    answer = service.get(f"/tasks/{task_id}/result")
    assert answer.content == content
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(content)
    assert answer.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    assert answer.headers["content-disposition"] == f'attachment; filename="task-{task_id}.json"'


def test_what_the_client_has_is_not_sent_again(service, large):
    task_id, _, _ = large
    etag = service.get(f"/tasks/{task_id}/result").headers["etag"]
    headers = {**service.headers, "If-None-Match": f'"other", W/{etag}'}
    again = service.client.get(f"/api/v1/tasks/{task_id}/result", headers=headers)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)


@pytest.mark.parametrize("is_large", [True, False])
def test_items_are_paged(service, succeed, large, is_large):
    task_id = large[0] if is_large else succeed({"items": ITEMS})
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = service.get(f"/tasks/{task_id}/result/items", params={"limit": 200, **({"cursor": cursor} if cursor else {})}).json()
        seen, cursor, pages = seen + page["data"], page["next_cursor"], pages + 1
    assert (seen, pages) == (ITEMS, 3)


def test_a_result_that_is_not_there_is_told(service, visitor, succeed, large, settings):
    def problem(path, person=service):
        answer = person.get(path)
        assert answer.status_code == 404
        return answer.json()["type"].removeprefix("/problems/"), answer.json()["detail"].partition(": ")[2]

    task_id = succeed({"count": 1})
    assert problem(f"/tasks/{task_id}/result/items") == ("task-has-no-result", "its result has no list of items.")
    queued = service.post("/tasks", {"kind": "recommend_many", "payload": {"user_ids": ["someone"]}}).json()["id"]
    assert problem(f"/tasks/{queued}/result") == ("task-has-no-result", "it has not succeeded.")
    for hidden in (task_id, uuid.uuid4()):
        assert problem(f"/tasks/{hidden}/result", visitor)[0] == "task-not-found"
    (Path(settings.artifacts_url) / large[2].key / "manifest.json").unlink()
    assert problem(f"/tasks/{large[0]}/result") == ("task-has-no-result", "its result is no longer in the artifact store.")


def test_a_damaged_result_is_never_whole(service, large, settings):
    task_id, content, stored = large
    (Path(settings.artifacts_url) / stored.key / RESULT_FILE).write_bytes(content[:-1] + b"!")
    assert len(service.get(f"/tasks/{task_id}/result").content) < len(content)
    assert service.get(f"/tasks/{task_id}/result/items").status_code == 404


def test_a_store_that_does_not_answer_is_no_lost_result(service, large, settings):
    manifest = Path(settings.artifacts_url) / large[2].key / "manifest.json"
    manifest.unlink()
    manifest.symlink_to(manifest)  # what cannot be read is not missing
    answer = service.get(f"/tasks/{large[0]}/result")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/artifacts-not-reached")
    assert answer.headers["retry-after"] == "10"
