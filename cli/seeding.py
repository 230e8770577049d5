"""Fills an empty database: generated demo data, or a data set that was asked for."""

from collections.abc import Callable

import psycopg

from datasets.generator import DemoSize, generate
from datasets.loading import load
from datasets.rows import Progress

Report = Callable[[float, str], None]


def seed(database_url: str, *, data: str | None, report: Report) -> bool:
    """Load data if there is not a single item yet; False if there was.

    `data` is a folder, archive or URL that `marquee import` understands; without it demo data is generated.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM items LIMIT 1").fetchone() is not None:
            return False

        def on_progress(progress: Progress) -> None:
            report(progress.done / progress.total if progress.total else 0.0, progress.stage)

        load(connection, generate(DemoSize(), on_progress=on_progress))
        return True
