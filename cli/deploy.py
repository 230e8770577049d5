"""`marquee deploy`: the steps that a deployment takes once at its start, before and after the processes come up."""

import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from psycopg import Connection
from rich.console import Console

from cli import vault
from cli.connecting import connected
from cli.refusal import Refusal
from cli.settings import ReadySettings, SeedSettings
from core import schedules, tasks
from core.messages import TrainPayload

WAIT_SECONDS: Final = 120.0
LOOK_SECONDS: Final = 0.5
ANSWER_SECONDS: Final = 5.0

app: Final = typer.Typer(help="The one-shot steps of a deployment.", no_args_is_help=True)
console: Final = Console(highlight=False, markup=False, soft_wrap=True)


@app.command("secrets")
def secrets_command(
    folder: Annotated[Path, typer.Argument(help="Where they are kept; each file is readable by one group only.")] = Path("/run/secrets"),
) -> None:
    """Make the secrets that are not there yet: passwords of the servers and of the administrator, the key that signs tokens."""
    if not folder.is_dir():
        raise Refusal(f"{folder} is not a folder", exit_code=2)
    made = vault.fill(folder, hosts=vault.Hosts())
    console.print(f"made {', '.join(made)}" if made else "every secret is there already")


@app.command("seed")
def seed_command() -> None:
    """Fill an empty database (DATA_FILE_ID, DATA or SEED say with what) and ask for the first training; later do nothing."""
    # Only the worker's image has what reads data.
    from cli.seeding import seed

    settings = SeedSettings()
    with connected() as connection:
        if not _is_empty(connection):
            console.print("there is data already")
        elif settings.seed == "none" and settings.source is None:
            console.print("left empty, as SEED=none says")
        else:
            seed(settings.database_url.get_secret_value(), data=settings.source, report=_Told())
        _ask_for_first_training(connection)


@app.command("ready")
def ready_command() -> None:
    """Wait until the API and the interface answer, then print their addresses and the administrator's sign-in."""
    settings = ReadySettings()
    for url, what in ((f"{settings.api_url}/readyz", "the API"), (f"{settings.ui_url}/_stcore/health", "the interface")):
        _wait_for(url, what)
    console.print(
        f"\n  Interface  {settings.public_ui_url}\n"
        f"  API        {settings.public_api_url}/docs\n"
        f"  Sign in    {settings.admin_email or 'with an account of yours'}"
        f"{_shown_password(settings)}\n"
    )


class _Told:
    """Prints each stage once: a log has no use for progress bars."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, _done: float, stage: str) -> None:
        if stage != self._stage:
            self._stage = stage
            console.print(stage)


def _shown_password(settings: ReadySettings) -> str:
    return f"  password {settings.admin_password.get_secret_value()}" if settings.admin_email and settings.admin_password else ""


def _wait_for(url: str, what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while reason := _trouble(url):
        if time.monotonic() > deadline:
            raise Refusal(f"{what} at {url} is not well: {reason}")
        time.sleep(LOOK_SECONDS)


def _trouble(url: str) -> str | None:
    """Why an address does not answer with success."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS):  # noqa: S310 (an address from the settings)
            return None
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read(2000).decode(errors='replace')}"
    except (OSError, ValueError) as error:
        return str(error)


def _is_empty(connection: Connection[Any]) -> bool:
    return connection.execute("SELECT 1 FROM items LIMIT 1").fetchone() is None


def _ask_for_first_training(connection: Connection[Any]) -> None:
    """What a dispatcher would do by itself some seconds later, under the same key."""
    if hour := schedules.needs_first_training().run(connection):
        submitted = tasks.submit(TrainPayload(), owner=schedules.OWNER, idem_key=f"first-training@{hour}").run(connection)
        console.print(f"first training asked for (task {submitted.id})" if submitted else "the first training is asked for already")
