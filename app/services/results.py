"""What tasks yielded: small results in their rows, large ones in the artifact store."""

import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from app.task_errors import TaskHasNoResult
from core.artifacts import RESULT_FILE, ArtifactDamaged, ArtifactNotFound, ArtifactStore


@dataclass(frozen=True, slots=True)
class Result:
    """A result that is there: `content` has it, or the artifact does."""

    task_id: uuid.UUID
    size: int
    sha256: str
    content: bytes = b""
    artifact: str | None = None


def find_result(artifacts: ArtifactStore, task_id: uuid.UUID, *, result: dict[str, Any] | None, artifact: str | None) -> Result:
    """The result of a task, given what its row has. Raises `TaskHasNoResult`."""
    if artifact is not None:
        try:
            stored = artifacts.files(artifact)[RESULT_FILE]
        except (ArtifactNotFound, ArtifactDamaged, KeyError) as error:
            raise TaskHasNoResult(task_id, "its result is no longer in the artifact store") from error
        return Result(task_id, stored.size, stored.sha256, artifact=artifact)
    if result is None:
        raise TaskHasNoResult(task_id, "it has not succeeded")
    content = json.dumps(result, ensure_ascii=False).encode()
    return Result(task_id, len(content), hashlib.sha256(content).hexdigest(), content=content)


async def stream(artifacts: ArtifactStore, result: Result) -> AsyncIterator[bytes]:
    """The bytes of a result. A damaged one breaks off before its last part, so that nobody takes it for whole."""
    if result.artifact is None:
        yield result.content
        return
    digest, held = hashlib.sha256(), b""
    async for chunk in artifacts.stream(result.artifact, RESULT_FILE):
        digest.update(chunk)
        yield held
        held = chunk
    if digest.hexdigest() != result.sha256:
        raise ArtifactDamaged(f"artifact {result.artifact}: {RESULT_FILE} does not match its manifest")
    yield held


def read_items(artifacts: ArtifactStore, result: Result) -> list[dict[str, Any]]:
    """The member `items` of a result; reads all of it. Raises `TaskHasNoResult` if it has no such list."""
    try:
        content = result.content if result.artifact is None else artifacts.get(result.artifact)[RESULT_FILE]
    except (ArtifactNotFound, ArtifactDamaged) as error:
        raise TaskHasNoResult(result.task_id, "its result in the artifact store is damaged") from error
    items = json.loads(content).get("items")
    if not isinstance(items, list):
        raise TaskHasNoResult(result.task_id, "its result has no list of items")
    return items
