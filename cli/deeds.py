"""What was done by hand, as the commands remember it and show it."""

import getpass
import os
from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from cli.showing import out
from core import audit
from core.audit import Action


def person() -> str:
    """Who runs the command, as the audit trail names them: `cli:` and the account here."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # an account without a name, as containers have
        return f"cli:{os.getuid()}"


def remember(connection: Connection[Any], action: Action, subject: str, details: Mapping[str, Any]) -> None:
    """Write down that this person did it, in the transaction of the deed."""
    audit.record(actor=person(), action=action, subject=subject, details=details).run(connection)


def tell(deeds: list[audit.Deed]) -> None:
    """A line for each, with the reason if there is one."""
    for deed in deeds:
        why = f": {deed.details['reason']}" if deed.details.get("reason") else ""
        out.print(f"\n{deed.created_at}: {deed.action} by {deed.actor}{why}")
