"""The artifact store: sets of files under the hash of their manifest, never changed once written."""

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import obstore

from core.held import HeldFiles
from core.mapped import LEAST_BYTES, CachedFiles, map_file
from core.places import ArtifactsUnavailable, S3Access, open_place
from core.settings import CoreSettings

RESULT_FILE = "result.json"
"""The one file of an artifact that is the result of a task."""

_MANIFEST = "manifest.json"
_CHUNK_BYTES = 256 * 1024
_PART_BYTES: Final = 32 * 1024 * 1024
"""Larger files are read in parts, so that a slow network has the time-out of a request for each."""
_LIST_CHUNK: Final = 1000
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
    """A directory, or a bucket and prefix, of artifacts. Each is a folder named by its key: the files and a manifest of their hashes.

    Every method but `stream` blocks. All raise `core.places.ArtifactsUnavailable` where the store does not answer or refuses.
    """

    def __init__(self, url: str | Path, access: S3Access | None = None, *, cached: CachedFiles | None = None) -> None:
        """`cached` are copies of large files on a local disk, for `map`; without them a directory's own files are mapped."""
        self._cached = cached
        self._place = open_place(url, access)
        self._store = self._place.store
        # Files of a directory are held in memory by the system already.
        self._held = HeldFiles() if self._place.directory is None else None

    @property
    def address(self) -> str:
        """Where it is, for people."""
        return self._place.address

    @property
    def free_bytes(self) -> int | None:
        """Space left on the disk of the directory; None for a bucket, which has no end."""
        return None if self._place.directory is None else shutil.disk_usage(self._place.directory).free

    def check(self) -> None:
        """Raise `ArtifactsUnavailable` unless artifacts can be written and read."""
        self._place.check()
        if self._cached is not None:
            try:
                self._cached.check()
            except OSError as error:
                raise ArtifactsUnavailable(f"copies of artifacts cannot be kept (ARTIFACTS_CACHE): {error}") from error

    def put(self, files: Mapping[str, bytes]) -> StoredArtifact:
        """Store files as a new artifact; durable when this returns.

        A key is never given twice, not even to the same files: what was found to be an orphan can so never be wanted again
        while it is being deleted.
        """
        entries = {name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in files.items()}
        manifest = json.dumps({"format": 1, "files": entries, "nonce": secrets.token_hex(16)}, sort_keys=True).encode()
        key = hashlib.sha256(manifest).hexdigest()
        # The manifest last: a folder without one is an interrupted write that nobody points to.
        for name, data in (*files.items(), (_MANIFEST, manifest)):
            with self._place.reached():
                obstore.put(self._store, f"{key}/{name}", data)
                self._flush(key, name)
        return StoredArtifact(key=key, size=sum(len(data) for data in files.values()))

    def get(self, key: str) -> dict[str, bytes]:
        """The files of an artifact, verified. Raises `ArtifactNotFound` or `ArtifactDamaged`, which names the file."""
        files: dict[str, bytes] = {}
        for name, entry in self.files(key).items():
            held = self._held.find(key, name) if self._held else None
            files[name] = self._verified(key, name, entry) if held is None else held
        return files

    def map(self, key: str) -> dict[str, memoryview]:
        """The files of an artifact, verified and read-only, as `get` has them, but mapped where there is a local file.

        Pages of a mapped file are read when they are used, and shared by all processes of the host. They stay when the artifact is deleted.
        """
        return {name: self._mapped(key, name, entry) for name, entry in self.files(key).items()}

    def files(self, key: str) -> dict[str, StoredFile]:
        """Which files an artifact has, without reading them. Raises `ArtifactNotFound` or `ArtifactDamaged`."""
        if not _KEY.fullmatch(key):
            raise ArtifactNotFound(f"{key!r} is not an artifact key")
        manifest = self._held.find(key, _MANIFEST) if self._held else None
        if manifest is None:
            manifest = self._read(key, _MANIFEST)
            if hashlib.sha256(manifest).hexdigest() != key:
                raise ArtifactDamaged(f"artifact {key}: {_MANIFEST} does not match its key")
            self._hold(key, _MANIFEST, manifest)
        return {name: StoredFile(**entry) for name, entry in json.loads(manifest)["files"].items()}

    async def stream(self, key: str, name: str) -> AsyncIterator[bytes]:
        """The bytes of one file in parts, not verified. Raises `ArtifactNotFound` before the first."""
        try:
            with self._place.reached():
                found = await obstore.get_async(self._store, f"{key}/{name}")
        except FileNotFoundError as error:
            raise ArtifactNotFound(f"artifact {key}: {name} is missing") from error
        chunks = aiter(found.stream(min_chunk_size=_CHUNK_BYTES))
        while True:
            with self._place.reached():
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield bytes(chunk)

    def ages(self) -> dict[str, datetime]:
        """The keys of all artifacts, whole or not, with the time of the last write to each by the store's clock."""
        found: dict[str, datetime] = {}
        with self._place.reached():
            for chunk in obstore.list(self._store, chunk_size=_LIST_CHUNK):
                for entry in chunk:
                    key = entry["path"].partition("/")[0]
                    if _KEY.fullmatch(key):
                        found[key] = max(entry["last_modified"], found.get(key, entry["last_modified"]))
        return found

    def delete(self, key: str) -> None:
        """Remove an artifact, whole or not; nothing happens where there is none."""
        if not _KEY.fullmatch(key):
            raise ArtifactNotFound(f"{key!r} is not an artifact key")
        with self._place.reached():
            if self._place.directory is not None:
                self._delete_folder(self._place.directory / key)
                return
            paths = [entry["path"] for chunk in obstore.list(self._store, f"{key}/") for entry in chunk]
            # The manifest first: a reader finds all of an artifact or none of it.
            for path in sorted(paths, key=lambda path: not path.endswith(f"/{_MANIFEST}")):
                obstore.delete(self._store, path)

    def _delete_folder(self, folder: Path) -> None:
        (folder / _MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)  # another janitor may be at it too

    def _mapped(self, key: str, name: str, entry: StoredFile) -> memoryview:
        held = self._held.find(key, name) if self._held else None
        if held is not None:
            return memoryview(held)
        if self._cached is not None and entry.size >= LEAST_BYTES:
            return self._cached.open(entry.sha256, entry.size, lambda: self._verified(key, name, entry))
        if self._place.directory is None:
            return memoryview(self._verified(key, name, entry))
        view = self._map(self._place.directory / key / name)
        _verify(view, entry, key, name)
        return view

    def _map(self, path: Path) -> memoryview:
        try:
            return map_file(path)
        except FileNotFoundError as error:
            raise ArtifactNotFound(f"artifact {path.parent.name}: {path.name} is missing") from error
        except OSError as error:
            raise ArtifactsUnavailable(f"{self.address}: {error.strerror}") from error

    def _verified(self, key: str, name: str, entry: StoredFile) -> bytes:
        data = self._read(key, name, size=entry.size)
        _verify(data, entry, key, name)
        self._hold(key, name, data)
        return data

    def _hold(self, key: str, name: str, data: bytes) -> None:
        if self._held is not None:
            self._held.keep(key, name, data)

    def _read(self, key: str, name: str, *, size: int = 0) -> bytes:
        path = f"{key}/{name}"
        try:
            with self._place.reached():
                if size <= _PART_BYTES or self._place.directory is not None:
                    return obstore.get(self._store, path).bytes().to_bytes()
                starts = range(0, size, _PART_BYTES)
                return b"".join(
                    obstore.get_range(self._store, path, start=start, end=min(start + _PART_BYTES, size)).to_bytes() for start in starts
                )
        except FileNotFoundError as error:
            raise ArtifactNotFound(f"artifact {key}: {name} is missing") from error

    def _flush(self, key: str, name: str) -> None:
        # A bucket answers when the object is safe. The directory's store renames into place but does not flush; the pointer
        # in the database must never outlive the bytes.
        directory = self._place.directory
        if directory is None:
            return
        for path in (directory / key / name, directory / key, directory):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _verify(data: bytes | memoryview, entry: StoredFile, key: str, name: str) -> None:
    # Of a mapped file this is what reads it from the disk: once for all processes of the host.
    if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
        raise ArtifactDamaged(f"artifact {key}: {name} has {len(data)} bytes that do not match the manifest ({entry.size})")


def open_artifacts(settings: CoreSettings, *, cached: CachedFiles | None = None) -> ArtifactStore:
    """The store that the settings name. Raises `ArtifactsUnavailable` if its directory cannot be made."""
    access = S3Access(
        endpoint_url=settings.aws_endpoint_url,
        region=settings.aws_region,
        access_key_id=settings.aws_access_key_id,
        secret_access_key=settings.aws_secret_access_key,
    )
    return ArtifactStore(settings.artifacts_url, access, cached=cached)
