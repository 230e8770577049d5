"""Files mapped into memory read-only, and copies of a distant store's files on a local disk, so that they can be."""

import fcntl
import hashlib
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from core.log import get_logger

LEAST_BYTES: Final = 256 * 1024
"""Smaller files are not worth a file and a mapping of their own."""

_LOCK: Final = ".lock"
_UNFINISHED: Final = ".part-"


def map_file(path: Path) -> memoryview:
    """The content of a file; its pages are read when they are used, and shared with all who map it. Raises `OSError`.

    The file may be deleted meanwhile, its pages stay. It must never become shorter: reading what is gone ends the process.
    """
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


class CachedFiles:
    """Copies of files in a directory, named by their SHA-256, up to a total size; safe to use from many processes.

    Files are written whole under another name and renamed, verified whenever they are opened, and deleted when others need the room.
    """

    def __init__(self, directory: Path, total_bytes: int) -> None:
        self._directory = directory
        self._total_bytes = total_bytes

    def check(self) -> None:
        """Make the directory. Raises `OSError` unless files can be written there."""
        self._directory.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=self._directory).close()

    def open(self, sha256: str, size: int, fetch: Callable[[], bytes]) -> memoryview:
        """The file with this hash, mapped; `fetch` brings what is not here yet, verified. Where the disk fails it is held in memory."""
        if size <= self._total_bytes:
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                # One at a time on this host: who waits finds here what the other has fetched.
                with self._locked():
                    return self._find(sha256, size) or self._add(sha256, fetch())
            except OSError as error:
                get_logger(__name__).warning("file not cached", directory=str(self._directory), reason=str(error))
        return memoryview(fetch())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._directory / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # ends with the file, however the process ends
            yield

    def _find(self, sha256: str, size: int) -> memoryview | None:
        path = self._directory / sha256
        if not path.exists():
            return None
        view = map_file(path)
        if len(view) == size and hashlib.sha256(view).hexdigest() == sha256:
            os.utime(path)  # the order in which files make room
            return view
        path.unlink()
        return None

    def _add(self, sha256: str, data: bytes) -> memoryview:
        self._make_room(len(data))
        handle, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=self._directory)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(self._directory / sha256)
        return map_file(self._directory / sha256)

    def _make_room(self, wanted: int) -> None:
        files = [path for path in self._directory.iterdir() if path.name != _LOCK]
        # Under the lock nobody is writing: these are of processes that were ended.
        for path in [path for path in files if path.name.startswith(_UNFINISHED)]:
            path.unlink()
            files.remove(path)
        found = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in files)
        total = sum(size for _, size, _ in found)
        for _, size, path in found:
            if total + wanted <= self._total_bytes:
                return
            path.unlink()
            total -= size
