"""How a batch of users is divided so that it fits memory and caches, and the reasons found in what histories add."""

import ctypes
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml_worker.recommenders.interactions import Histories

# A batch is answered in tiles of at most this many users and scores, so that memory does not grow with it.
TILE_ROWS = 512
TILE_SCORES = 1 << 24
# Reasons are looked for in groups of at most this many users, and triples of user, ranked item and item of the history.
GROUP_ROWS = 64
GROUP_CELLS = 1 << 17
# Memory of arrays up to this size stays with the process when they are freed, twice as much in all: in one that answers, and in one that
# trains. More than 32 MiB glibc does not learn.
ANSWERING_BYTES: Final = 8 << 20
TRAINING_BYTES: Final = 31 << 20


def keep_freed_memory(size: int) -> None:
    """Let the next batch have the memory of the last: by itself glibc gives larger arrays back, and each page of a new one is a fault.

    It learns from the largest array that it saw freed (`mallopt`, M_MMAP_THRESHOLD), so one is shown to it, of which no page is touched.
    Whoever sets MALLOC_… in the environment decides otherwise.
    """
    np.empty(size, dtype=np.uint8)


def give_back_memory() -> None:
    """Give what was freed back to the system, after work that does not come again soon, like the loading of a model (`malloc_trim`).

    Where the C library has no such call, nothing happens.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def tiles(histories: Histories) -> Iterator[Histories]:
    """The histories in stretches."""
    rows, items = histories.matrix.shape
    step = even_step(rows, at_most=min(TILE_ROWS, TILE_SCORES // max(1, items)))
    starts = range(0, rows, step)
    return (histories.take(np.arange(start, min(start + step, rows))) if rows > step else histories for start in starts)


def even_step(count: int, *, at_most: int) -> int:
    """How many of `count` to take at a time, so that the last time is not for a few."""
    times = -(-count // max(1, at_most))
    return max(1, -(-count // max(1, times)))


def entries_of(matrix: csr_matrix, rows: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where the entries of some rows are stored [rows × longest], and which of these there are; where there is none stands any."""
    begins = matrix.indptr[rows]
    lengths = matrix.indptr[np.add(rows, 1)] - begins
    place = np.arange(lengths.max(initial=0), dtype=begins.dtype)
    entry = begins[:, None] + place
    if entry.size and entry[:, -1].max() >= matrix.nnz:
        np.minimum(entry, max(matrix.nnz - 1, 0), out=entry)
    return entry, place < lengths[:, None]


def strongest(parts: NDArray[np.floating], matrix: csr_matrix, rows: NDArray[np.integer], count: int) -> NDArray[np.int32]:
    """For each of some users and ranked item the `count` liked items of the history that add most, strongest first, padded with −1.

    `parts` [users × ranked × longest history] is what each entry of those `rows` of `matrix` adds, 0 behind the end of shorter histories;
    it is overwritten.
    """
    users, ranked, width = parts.shape
    nth_best = np.full((count, users * ranked), -1, dtype=np.int32)
    if width:
        entry, has = entries_of(matrix, rows)
        is_mute = has & (matrix.data.take(entry) <= 0)
        if is_mute.any():
            parts += np.where(is_mute, -np.inf, 0).astype(parts.dtype)[:, None, :]
        items, flat, by_cell = matrix.indices.take(entry).ravel(), parts.reshape(-1), parts.reshape(users * ranked, width)
        cells, of_user = np.arange(0, flat.size, width), np.repeat(np.arange(0, items.size, width), ranked)
        # A few times the maximum is quicker than one partition of everything.
        for told in nth_best[:width]:
            best = by_cell.argmax(axis=1)
            found = cells + best
            np.copyto(told, items.take(of_user + best), where=flat.take(found) > 0)
            flat[found] = -np.inf
    return nth_best.reshape(count, users, ranked).transpose(1, 2, 0)


def alike(matrix: csr_matrix, rows: NDArray[np.intp], ranked: int) -> Iterator[NDArray[np.intp]]:
    """The rows of histories in groups of about one length, so that little is padded, and of so many that a group stays in the cache."""
    lengths = np.diff(matrix.indptr)
    rows = rows[np.argsort(lengths[rows], kind="stable")]
    start = 0
    while start < len(rows):
        cells = lengths[rows[start : start + GROUP_ROWS]] * np.arange(1, min(GROUP_ROWS, len(rows) - start) + 1) * ranked
        size = max(1, int(np.count_nonzero(cells <= GROUP_CELLS)))
        yield rows[start : start + size]
        start += size
