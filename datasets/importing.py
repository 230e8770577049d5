"""Imports a data set from a folder, an archive or an address: the one entry for the command line and for tasks."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psycopg import Connection

from datasets.archives import File, open_source
from datasets.layouts import FILE_NAMES, recognise
from datasets.loading import Loaded, Written, load
from datasets.movielens import MovieLens
from datasets.remote import LARGEST_DOWNLOAD_BYTES, downloaded, is_url, public_form
from datasets.report import ImportReport, Tally
from datasets.rows import BadRow, Dataset, Progress


def import_dataset(
    source: str,
    *,
    connection: Connection[Any] | None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_bad_row: Callable[[BadRow], None] = lambda _: None,
    max_bad_rows: int | None = None,
    largest_download_bytes: int = LARGEST_DOWNLOAD_BYTES,
) -> ImportReport:
    """Read, check and write a MovieLens data set of any published layout; without a connection only read and check it.

    All of it is written in one transaction (the caller's, if one is open), so that a failure leaves nothing. Bad rows are
    left out and reported. Without `max_bad_rows` a file of which more than half is bad ends the import.
    Raises `DatasetUnusable` with a sentence for people, and psycopg's errors.
    """
    started = time.monotonic()
    name = public_form(source) if is_url(source) else source
    tally = Tally(most_bad=max_bad_rows, on_bad_row=on_bad_row)
    with opened(source, tally=tally, on_progress=on_progress, largest_download_bytes=largest_download_bytes) as (layout, dataset):
        loaded = check(dataset) if connection is None else load(connection, dataset)
    return ImportReport(
        source=name,
        layout=layout,
        is_dry_run=connection is None,
        loaded=loaded,
        files=tally.files,
        bad_rows=tally.bad,
        first_bad_rows=tuple(tally.first_bad),
        seconds=time.monotonic() - started,
    )


@contextmanager
def opened(
    source: str,
    *,
    tally: Tally,
    on_progress: Callable[[Progress], None] = lambda _: None,
    largest_download_bytes: int = LARGEST_DOWNLOAD_BYTES,
) -> Iterator[tuple[str, Dataset]]:
    """The name of the source's layout and its rows, for as long as the context lives. Raises `DatasetUnusable`."""
    name = public_form(source) if is_url(source) else source
    with _files(source, name, largest_download_bytes, on_progress) as files:
        recognised = recognise(files, shown_as=name)
        yield recognised.layout.name, MovieLens(recognised, tally=tally, on_progress=on_progress)


def check(dataset: Dataset) -> Loaded:
    """Read everything as `load` would, and write nothing; only `read` is counted."""
    users = {user.id for user in dataset.users()}
    items = sum(1 for _ in dataset.items())
    interactions = 0
    for chunk in dataset.interactions():
        users.update(row[0] for row in chunk)
        interactions += len(chunk)
    return Loaded(Written(len(users)), Written(items), Written(interactions))


@contextmanager
def _files(source: str, name: str, largest_bytes: int, on_progress: Callable[[Progress], None]) -> Iterator[list[File]]:
    if is_url(source):
        with (
            downloaded(source, largest_bytes=largest_bytes, on_progress=on_progress) as path,
            open_source(path, wanted=FILE_NAMES, shown_as=name) as files,
        ):
            yield files
    else:
        with open_source(Path(source), wanted=FILE_NAMES, shown_as=name) as files:
            yield files
