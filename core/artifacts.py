"""The artifact store: sets of files under the hash of their content, never changed once written."""

import hashlib
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore

RESULT_FILE = "result.json"
"""The one file of an artifact that is the result of a task."""

_MANIFEST = "manifest.json"
_CHUNK_BYTES = 256 * 1024
_KEY = re.compile(r"[0-9a-f]{64}")


class ArtifactNotFound(Exception):
    """No artifact is stored under the key."""


class ArtifactDamaged(Exception):
    """What is stored under the key is not what was put there."""


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """Where an artifact is and how large: `key` is the SHA-256 of its manifest, `size` in bytes without the manifest."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What the manifest says of a file."""

    sha256: str
    size: int


class ArtifactStore:
    """A directory of artifacts. Each is a folder named by its key: the files and a manifest of their hashes and sizes."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory.resolve()
        self._store = LocalStore(prefix=self._directory)

    def put(self, files: Mapping[str, bytes]) -> StoredArtifact:
        """Store files under the hash of their content; durable when this returns, and harmless to repeat."""
        entries = {name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in files.items()}
        manifest = json.dumps({"format": 1, "files": entries}, sort_keys=True).encode()
        key = hashlib.sha256(manifest).hexdigest()
        # The manifest last: a folder without one is an interrupted write that nobody points to.
        for name, data in (*files.items(), (_MANIFEST, manifest)):
            obstore.put(self._store, f"{key}/{name}", data)
            self._flush(key, name)
        return StoredArtifact(key=key, size=sum(len(data) for data in files.values()))

    def get(self, key: str) -> dict[str, bytes]:
        """The files of an artifact, verified. Raises `ArtifactNotFound` or `ArtifactDamaged`, which names the file."""
        files: dict[str, bytes] = {}
        for name, entry in self.files(key).items():
            data = self._read(key, name)
            if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
                raise ArtifactDamaged(f"artifact {key}: {name} has {len(data)} bytes that do not match the manifest ({entry.size})")
            files[name] = data
        return files

    def files(self, key: str) -> dict[str, StoredFile]:
        """Which files an artifact has, without reading them. Raises `ArtifactNotFound` or `ArtifactDamaged`."""
        manifest = self._read(key, _MANIFEST)
        if hashlib.sha256(manifest).hexdigest() != key:
            raise ArtifactDamaged(f"artifact {key}: {_MANIFEST} does not match its key")
        return {name: StoredFile(**entry) for name, entry in json.loads(manifest)["files"].items()}

    async def stream(self, key: str, name: str) -> AsyncIterator[bytes]:
        """The bytes of one file in parts, not verified. Raises `ArtifactNotFound` before the first."""
        try:
            found = await obstore.get_async(self._store, f"{key}/{name}")
        except (FileNotFoundError, BaseError) as error:
            raise ArtifactNotFound(f"artifact {key}: {name} is missing") from error
        async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
            yield bytes(chunk)

    def _read(self, key: str, name: str) -> bytes:
        if not _KEY.fullmatch(key):
            raise ArtifactNotFound(f"{key!r} is not an artifact key")
        try:
            return obstore.get(self._store, f"{key}/{name}").bytes().to_bytes()
        except (FileNotFoundError, BaseError) as error:
            raise ArtifactNotFound(f"artifact {key}: {name} is missing") from error

    def _flush(self, key: str, name: str) -> None:
        # The store renames into place but does not flush; the pointer in the database must never outlive the bytes.
        folder = self._directory / key
        for path in (folder / name, folder, self._directory):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
