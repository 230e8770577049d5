"""Fills an empty database: generated demo data, or a data set that was asked for."""

from collections.abc import Callable
from datetime import UTC, datetime

import psycopg

from cli.refusal import Refusal
from datasets.generator import DemoSize, generate
from datasets.importing import import_dataset
from datasets.loading import load
from datasets.problems import DatasetUnusable
from datasets.rows import Progress

Report = Callable[[float, str], None]


def seed(database_url: str, *, data: str | None, report: Report) -> None:
    """Load data if there is not a single item yet: `data` as `marquee import` understands it, or generated demo data.

    A `Refusal` if the data is unusable, or if data is asked for and the database is not empty.
    """

    def on_progress(progress: Progress) -> None:
        report(progress.done / progress.total if progress.total else 0.0, progress.stage)

    with psycopg.connect(database_url, autocommit=True) as connection:
        is_empty = connection.execute("SELECT 1 FROM items LIMIT 1").fetchone() is None
        if data is not None and not is_empty:
            raise Refusal(
                "there is data here already: load more with `marquee import`, or start in a fresh folder (MARQUEE_HOME)", exit_code=2
            )
        if data is not None:
            try:
                import_dataset(data, connection=connection, on_progress=on_progress)
            except DatasetUnusable as error:
                raise Refusal(str(error)) from error
        elif is_empty:
            load(connection, generate(DemoSize(), until=datetime.now(UTC), on_progress=on_progress))
