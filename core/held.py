"""Files of a bucket that are held in memory: they never change, so that what was read and verified once needs no second request."""

import threading
from collections import OrderedDict
from typing import Final

TOTAL_BYTES: Final = 64 * 1024 * 1024
FILE_BYTES: Final = 8 * 1024 * 1024
"""Larger files are models, which whoever reads them keeps as arrays."""


class HeldFiles:
    """The files used last, up to a total size; safe to use from many threads."""

    def __init__(self, total_bytes: int = TOTAL_BYTES, file_bytes: int = FILE_BYTES) -> None:
        self._total_bytes = total_bytes
        self._file_bytes = file_bytes
        self._files: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def find(self, key: str, name: str) -> bytes | None:
        """A file of an artifact, None if it is not held."""
        with self._lock:
            data = self._files.get((key, name))
            if data is not None:
                self._files.move_to_end((key, name))
            return data

    def keep(self, key: str, name: str, data: bytes) -> None:
        """Hold a verified file; what was not used for longest makes room."""
        if len(data) > self._file_bytes:
            return
        with self._lock:
            self._size += len(data) - len(self._files.pop((key, name), b""))
            self._files[key, name] = data
            while self._size > self._total_bytes:
                self._size -= len(self._files.popitem(last=False)[1])
