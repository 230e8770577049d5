"""`marquee run` and `marquee demo`: from nothing to a personal list."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli import story
from cli.local_stack import LocalStack, Stopped
from cli.seeding import seed
from cli.settings import LocalSettings

console = Console(highlight=False)

SHOWN_TITLES = 6

Step = Callable[[str], AbstractContextManager[story.Report]]

Data = Annotated[
    str | None, typer.Option(help="MovieLens folder, archive or URL to load into an empty database instead of generated data.")
]


def run(data: Data = None) -> None:
    """Start everything, show one personal list, and serve until Ctrl-C."""
    started = time.monotonic()
    stack = LocalStack(LocalSettings())
    with _quiet_stop(), stack.running():
        client, user_id = _prepare(stack, data=data)
        _show_list(stack, client, user_id, started=started)
        _show_addresses(stack)
        while True:
            for name in stack.look():
                console.print(f"[yellow]{name} ended and was started again; its log is {stack.home.logs / name}.log")
            stack.pause()


def demo(data: Data = None) -> None:
    """The same from nothing in a temporary folder, with the list of a user of the data too; ends by itself."""
    started = time.monotonic()
    with _quiet_stop(), tempfile.TemporaryDirectory(prefix="marquee-demo-") as folder:
        Path(folder).chmod(0o755)  # the account that runs PostgreSQL for root must be able to enter
        stack = LocalStack(LocalSettings().model_copy(update={"marquee_home": Path(folder), "database_url": None}))
        with stack.running():
            client, user_id = _prepare(stack, data=data)
            _show_list(stack, client, user_id, started=started)
            _show_list(stack, client, story.find_typical_user(client, besides=user_id))
        console.print("[green]Everything worked and is stopped again.[/] `make run` keeps it running.")


@contextmanager
def _quiet_stop() -> Iterator[None]:
    """Ctrl-C and SIGTERM end a command without a word of error."""
    try:
        yield
    except Stopped:
        console.print("Stopped.")


@contextmanager
def _steps(stack: LocalStack) -> Iterator[Step]:
    """Progress bars, one a step; each report also looks after the processes, so that nothing is waited for in vain."""
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<10}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:

        @contextmanager
        def step(name: str) -> Iterator[story.Report]:
            bar = progress.add_task(name, total=1.0, note="")

            def report(done: float, note: str) -> None:
                stack.look()
                progress.update(bar, completed=min(done, 0.99), note=note)

            yield report
            progress.update(bar, completed=1.0, note="")

        yield step


def _prepare(stack: LocalStack, *, data: str | None) -> tuple[story.Client, str]:
    """Fill an empty database, wait for the processes, sign in, see that there is a model and a taste."""
    with _steps(stack) as step:
        with step("data") as report:
            seed(stack.database_url, data=data, report=report)
        with step("processes"):
            stack.wait_until_ready()
        client = story.Client(stack.api_url)
        user_id = client.sign_in(email=stack.demo_email, password=stack.secrets.demo_password)
        with step("model") as report:
            story.ensure_model(client, report)
        story.ensure_taste(client, user_id)
    return client, user_id


def _show_list(stack: LocalStack, client: story.Client, user_id: str, *, started: float | None = None) -> None:
    with _steps(stack) as step, step("list") as report:
        personal = story.fetch_list(client, user_id, report)
    if personal.liked:
        console.print(f"\n[bold]{user_id}[/] liked {', '.join(personal.liked[:SHOWN_TITLES])}. Recommended:")
    else:
        console.print(f"\nRecommended to [bold]{user_id}[/]:")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="dim")
    table.add_column(style="bold")
    table.add_column(style="italic")
    for entry in personal.answer["entries"]:
        item = entry["item"]
        title = f"{item['title']}\n[not bold dim]{', '.join(item['categories'])}[/]"
        table.add_row(str(entry["position"]), title, story.word_reason(entry["reason"]))
    console.print(table)
    if started is not None:
        console.print(f"\nFirst personal list after [bold]{time.monotonic() - started:.1f} s[/].")


def _show_addresses(stack: LocalStack) -> None:
    console.print(
        f"\n  Interface  [bold]{stack.ui_url}[/]\n"
        f"  API        [bold]{stack.api_url}/docs[/]\n"
        f"  Sign in    [bold]{stack.demo_email}[/]  password [bold]{stack.secrets.demo_password}[/]\n"
        f"  Folder     {stack.home.folder}\n"
        f"  Database   {stack.database_url if stack.is_embedded else 'DATABASE_URL'}\n\n"
        "Ctrl-C stops everything; the next start goes on with the same data."
    )
