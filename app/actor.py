"""Who does something with power, in which request: what the audit trail keeps of a deed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core import audit
from core.audit import Action
from core.statement import Statement


@dataclass(frozen=True, slots=True)
class Actor:
    """An administrator in a request."""

    account_id: str
    correlation_id: str

    def did(self, action: Action, subject: str, details: Mapping[str, Any]) -> Statement[None]:
        """The entry in the audit trail, to be written in the transaction of the deed."""
        return audit.record(actor=self.account_id, action=action, subject=subject, details=details, correlation_id=self.correlation_id)
