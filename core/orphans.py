"""Which artifacts nobody points to, as a statement."""

from collections.abc import Sequence
from typing import Final

from core.statement import Statement

POINTERS: Final = frozenset({("tasks", "artifact"), ("model_versions", "artifact")})
"""Every column that holds the key of an artifact, as `_FIND` reads them; a test compares them with the tables."""

_FIND: Final = """
SELECT key FROM unnest(%(keys)s::text[]) AS key
WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.artifact = key)
  AND NOT EXISTS (SELECT 1 FROM model_versions WHERE model_versions.artifact = key)
"""


def find_orphans(keys: Sequence[str]) -> Statement[list[str]]:
    """Those of the keys that no row holds."""
    return Statement(_FIND, {"keys": list(keys)}, lambda rows: [row["key"] for row in rows])
