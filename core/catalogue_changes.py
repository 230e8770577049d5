"""Notes that items changed, as statements: a trigger writes them, and workers look whether there are new ones."""

from typing import Final

from core.statement import Statement

KEPT: Final = 1000

_FORGET = """
DELETE FROM catalogue_changes WHERE id IN (
    SELECT id FROM catalogue_changes WHERE id < (SELECT max(id) FROM catalogue_changes) - %(kept)s LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) RETURNING id
"""


def forget(*, limit: int = 500) -> Statement[int]:
    """Delete up to `limit` notes older than the last `KEPT`; returns how many. The stamp goes with them, which costs a reading more."""
    return Statement(_FORGET, {"kept": KEPT, "limit": limit}, len)
