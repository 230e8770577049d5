"""How the app's processes begin or refuse to, in sentences for people, and how their loops end."""

import asyncio
import sys
import time
from typing import Final, NoReturn

import psycopg
from psycopg.conninfo import conninfo_to_dict

DATABASE_PATIENCE_SECONDS: Final = 5.0


def refuse(code: int, *sentences: str, process: str = "app") -> NoReturn:
    """End the process with these last words. Code 2: it was asked wrongly; 1: something else is not as it must be."""
    for sentence in sentences:
        print(f"{process}: {sentence}", file=sys.stderr)  # noqa: T201
    sys.exit(code)


def wait_for_database(url: str, *, process: str = "app") -> None:
    """Return when the database answers and has tables; refuse to start when it does not in time."""
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        refuse(2, "DATABASE_URL is not of the form postgresql://user:password@host:port/name.", process=process)
    deadline = time.monotonic() + DATABASE_PATIENCE_SECONDS
    while True:
        try:
            with psycopg.connect(url, connect_timeout=3) as connection:
                found = connection.execute("SELECT to_regclass('accounts') IS NOT NULL").fetchone()
            break
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                refuse(1, f"the database does not answer: {str(error).splitlines()[0]}.", process=process)
            time.sleep(0.5)
    if found != (True,):
        refuse(1, "the database has no tables yet: run `marquee db upgrade` first.", process=process)


async def end_loops(*loops: asyncio.Task[None]) -> None:
    """Cancel background loops and return when all have ended."""
    # Again and again: on Python 3.11 `wait_for` may swallow a cancellation that comes together with what it waits for.
    while running := [loop for loop in loops if not loop.done()]:
        for loop in running:
            loop.cancel()
        await asyncio.wait(running, timeout=0.5)
