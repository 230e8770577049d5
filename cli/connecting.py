"""The connection of commands that work on the database directly, and what keeps them from it as one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import Connection
from pydantic import ValidationError

from cli.refusal import Refusal
from core.settings import CoreSettings

CONNECT_TIMEOUT_SECONDS: Final = 10


@contextmanager
def connected() -> Iterator[Connection[Any]]:
    """A connection to the database in DATABASE_URL on which every statement is its own transaction; or a `Refusal`."""
    try:
        url = CoreSettings().database_url.get_secret_value()
    except ValidationError as error:
        if any((problem["type"], problem["loc"]) == ("missing", ("database_url",)) for problem in error.errors()):
            message = "DATABASE_URL is not set; it is the address of the PostgreSQL server, as postgresql://user:password@host:port/name"
            raise Refusal(message, exit_code=2) from None
        raise
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS)
    except psycopg.ProgrammingError as error:
        raise Refusal(f"DATABASE_URL cannot be understood: {first_line(error)}", exit_code=2) from None
    except psycopg.OperationalError as error:
        raise Refusal(f"the database (DATABASE_URL) cannot be reached: {first_line(error)}") from None
    with connection:
        try:
            yield connection
        except psycopg.errors.UndefinedTable as error:
            raise Refusal("the database has no tables of Marquee yet; `marquee db upgrade` makes them") from error
        except psycopg.errors.UndefinedColumn as error:
            raise Refusal(
                "the tables of the database are those of an older Marquee; `marquee db upgrade` brings them up to date"
            ) from error
        except psycopg.OperationalError as error:
            raise Refusal(f"the database was lost: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What an error says, without its details."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
