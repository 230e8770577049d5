"""`marquee db`: brings a database to the newest schema."""

from pathlib import Path

import typer
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import OperationalError

from cli.refusal import Refusal
from core.settings import CoreSettings

MIGRATIONS = Path(__file__).parents[1] / "migrations"

app = typer.Typer(help="The database schema.", no_args_is_help=True)


def alembic_config(database_url: str) -> Config:
    """Alembic's configuration for one database."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["database_url"] = database_url
    return config


def upgrade(database_url: str) -> None:
    """Apply every migration the database does not have yet; all of them or none. A `Refusal` if it cannot be reached."""
    try:
        command.upgrade(alembic_config(database_url), "head")
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise Refusal(f"the database in DATABASE_URL cannot be reached: {reason}") from error


@app.command("upgrade")
def upgrade_command() -> None:
    """Apply every migration the database (DATABASE_URL) does not have yet."""
    upgrade(CoreSettings().database_url.get_secret_value())
