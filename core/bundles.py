"""Models as one file to carry elsewhere: a zip of the artifact's files under a manifest that declares every one of them. No code inside.

Whoever reads a bundle trusts nothing in it: sizes are checked against the manifest and a limit before anything is unpacked, contents
against their SHA-256, and nothing is ever written under a name that the bundle chose.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.statement import Row

FORMAT: Final = 1
MANIFEST: Final = "bundle.json"
MEDIA_TYPE: Final = "application/zip"

MAX_MANIFEST_BYTES: Final = 1 << 20
MAX_FILES: Final = 16
_CHUNK_BYTES: Final = 1 << 20
# The oldest moment a zip can tell: the same model is the same bytes whenever it is exported.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
# `zipfile` raises all of these for bytes that are no zip, or only a part of one.
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError, OverflowError)


class BundleRefused(Exception):
    """The file is no bundle, damaged, tampered with or too large; the message says where and why."""


class NewerBundle(BundleRefused):
    """The bundle was written by a newer Marquee."""


FileName = Annotated[str, Field(pattern=r"^(model\.json|[a-z0-9_]+\.npz)$", max_length=64)]
"""No folders, and none of the names that bundles and artifacts use themselves."""


class BundledFile(BaseModel):
    """What the manifest declares of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class BundleManifest(BaseModel):
    """What the bundle says of its model; the files come last because a newer format may have others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    algorithm: str = Field(min_length=1, max_length=64)
    scope: str = Field(pattern=r"^(full|partial)$")
    parameters: dict[str, Any]
    data_window: dict[str, Any]
    metrics: dict[str, Any]
    training_seconds: float = Field(ge=0, allow_inf_nan=False)
    trained_at: str = Field(max_length=64)
    files: dict[FileName, BundledFile] = Field(min_length=1, max_length=MAX_FILES)


class _Format(BaseModel):
    format: int


def _manifest_of(version: Row, files: Mapping[str, bytes]) -> BundleManifest:
    return BundleManifest(
        format=FORMAT,
        algorithm=version["algorithm"],
        scope=version["scope"],
        parameters=version["parameters"],
        # Ids of interactions mean nothing in another database.
        data_window={name: value for name, value in version["data_window"].items() if name != "last_id"},
        metrics=version["metrics"],
        training_seconds=version["training_seconds"],
        trained_at=version["created_at"].isoformat(),
        files={name: BundledFile(sha256=hashlib.sha256(data).hexdigest(), size=len(data)) for name, data in files.items()},
    )


def write(target: IO[bytes], version: Row, files: Mapping[str, bytes]) -> BundleManifest:
    """Write the bundle of a model version (a row of `core.model_versions`) with the files of its artifact to a file opened for writing."""
    files = {name: data for name, data in files.items() if name != MANIFEST}  # an imported model has that of its first export
    manifest = _manifest_of(version, files)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in ((MANIFEST, manifest.model_dump_json().encode()), *sorted(files.items())):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return manifest


def read(path: Path, *, largest_bytes: int) -> tuple[BundleManifest, dict[str, bytes]]:
    """The manifest and the files of a bundle, the manifest among them, verified; `largest_bytes` limits them together, unpacked.

    Raises `BundleRefused` or `NewerBundle`.
    """
    try:
        source = path.open("rb")
    except OSError as error:
        raise BundleRefused(f"it cannot be read: {error.strerror or error}") from error
    try:
        with source, zipfile.ZipFile(source) as archive:
            manifest = _read_manifest(archive)
            _check_declared(archive, manifest, largest_bytes)
            files = {name: _read_file(archive, name, declared) for name, declared in manifest.files.items()}
            return manifest, {**files, MANIFEST: manifest.model_dump_json().encode()}
    except _BROKEN as error:
        raise BundleRefused(f"it is no whole zip file, or was damaged on its way: {error}; copy or export it once more") from error


def parse_manifest(data: bytes) -> BundleManifest:
    """The manifest in these bytes. Raises `BundleRefused` or `NewerBundle`."""
    try:
        # The format first: a newer one may have other members.
        written = _Format.model_validate_json(data).format
        if written > FORMAT:
            raise NewerBundle(f"it was written by a newer Marquee (format {written}); this one reads up to format {FORMAT}: upgrade first")
        return BundleManifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise BundleRefused(f"{MANIFEST}: {place}: {first['msg']}") from error


def _read_manifest(archive: zipfile.ZipFile) -> BundleManifest:
    try:
        entry = archive.getinfo(MANIFEST)
    except KeyError:
        raise BundleRefused(f"it has no {MANIFEST}; it is no bundle of a model") from None
    if entry.file_size > MAX_MANIFEST_BYTES:
        raise BundleRefused(f"its {MANIFEST} has {entry.file_size:,} bytes; {MAX_MANIFEST_BYTES:,} are more than enough")
    with archive.open(entry) as file:
        return parse_manifest(file.read(MAX_MANIFEST_BYTES + 1))


def _check_declared(archive: zipfile.ZipFile, manifest: BundleManifest, largest_bytes: int) -> None:
    names = archive.namelist()
    if sorted(names) != sorted([MANIFEST, *manifest.files]):
        raise BundleRefused(
            f"it holds {', '.join(sorted(names)[: MAX_FILES + 1])}, its manifest declares {', '.join(sorted(manifest.files))}"
        )
    for name, declared in manifest.files.items():
        if (size := archive.getinfo(name).file_size) != declared.size:
            raise BundleRefused(f"{name} unpacks to {size:,} bytes, its manifest declares {declared.size:,}")
    total = sum(declared.size for declared in manifest.files.values())
    if total > largest_bytes:
        raise BundleRefused(f"its files have {total:,} bytes, {largest_bytes:,} are allowed")


def _read_file(archive: zipfile.ZipFile, name: str, declared: BundledFile) -> bytes:
    digest, parts, size = hashlib.sha256(), [], 0
    with archive.open(name) as file:
        # One byte more than declared is enough to know, whatever the compressed stream would still yield.
        while size <= declared.size and (part := file.read(min(_CHUNK_BYTES, declared.size + 1 - size))):
            digest.update(part)
            parts.append(part)
            size += len(part)
    if size != declared.size or digest.hexdigest() != declared.sha256:
        raise BundleRefused(f"{name} is not what its manifest declares ({size:,} bytes, SHA-256 {digest.hexdigest()[:12]}…)")
    return b"".join(parts)
