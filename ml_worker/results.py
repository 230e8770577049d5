"""Where the result of a task goes: into its row, or into the artifact store if it is too large for one."""

import json
from collections.abc import Mapping
from typing import Any, Final

from core.artifacts import RESULT_FILE, ArtifactStore
from core.claims import Claimed, Outcome

INLINE_BYTES: Final = 64 * 1024
PLAIN_CHARACTERS: Final = 200


def outcome(task: Claimed, result: Mapping[str, Any], store: ArtifactStore) -> Outcome:
    """The end of a task with this result; a large one is stored first, for the row that points to it must not come before."""
    content = json.dumps(result, ensure_ascii=False).encode()
    if len(content) <= INLINE_BYTES:
        return Outcome(task, result)
    stored = store.put({RESULT_FILE: content})
    plain = {name: value for name, value in result.items() if _is_plain(value)}
    return Outcome(task, plain, artifact=stored.key, artifact_bytes=stored.size)


def _is_plain(value: object) -> bool:
    return isinstance(value, int | float | None) or (isinstance(value, str) and len(value) <= PLAIN_CHARACTERS)
