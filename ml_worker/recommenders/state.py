"""The stored form of a trained recommender: arrays as npz, everything else as JSON, no code in either."""

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

FORMAT: Final = 1
ARRAYS: Final = "arrays.npz"
MANIFEST: Final = "model.json"


class DamagedModel(Exception):
    """The files are not what was saved; the message says which and why."""


class NewerModelFormat(Exception):
    """The files were written by a newer Marquee."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """All of a trained recommender."""

    algorithm: str
    config: Mapping[str, Any]
    item_ids: tuple[str, ...]
    arrays: Mapping[str, NDArray[Any]]


class _Array(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[int, ...]
    dtype: str


class _Format(BaseModel):
    format: int


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    algorithm: str
    config: dict[str, Any]
    libraries: dict[str, str]
    arrays_sha256: str
    arrays: dict[str, _Array]
    item_ids: tuple[str, ...]


def pack(state: State, *, libraries: tuple[str, ...]) -> dict[str, bytes]:
    """The state as files, the same bytes for the same state; `libraries` are the distributions whose versions are noted."""
    buffer = io.BytesIO()
    # Any: the stub of savez takes the keyword `allow_pickle` for one of the arrays.
    arrays: dict[str, Any] = dict(sorted(state.arrays.items()))
    np.savez(buffer, allow_pickle=False, **arrays)
    manifest = _Manifest(
        format=FORMAT,
        algorithm=state.algorithm,
        config=dict(state.config),
        libraries={name: version(name) for name in libraries},
        arrays_sha256=hashlib.sha256(buffer.getvalue()).hexdigest(),
        arrays={name: _describe(array) for name, array in arrays.items()},
        item_ids=state.item_ids,
    )
    return {ARRAYS: buffer.getvalue(), MANIFEST: manifest.model_dump_json().encode()}


def unpack(files: Mapping[str, bytes]) -> State:
    """The state in files that `pack` made. Raises `DamagedModel` or `NewerModelFormat`."""
    missing = sorted({ARRAYS, MANIFEST} - files.keys())
    if missing:
        raise DamagedModel(f"{' and '.join(missing)} missing")
    manifest = _read_manifest(files[MANIFEST])
    if hashlib.sha256(files[ARRAYS]).hexdigest() != manifest.arrays_sha256:
        raise DamagedModel(f"{ARRAYS} does not have the SHA-256 that {MANIFEST} gives")
    arrays = _read_arrays(files[ARRAYS])
    found = {name: _describe(array) for name, array in arrays.items()}
    for name in sorted(found.keys() | manifest.arrays.keys()):
        if found.get(name) != manifest.arrays.get(name):
            raise DamagedModel(f"{ARRAYS}: {name} is {found.get(name)}, {MANIFEST} says {manifest.arrays.get(name)}")
    if len(set(manifest.item_ids)) != len(manifest.item_ids):
        raise DamagedModel(f"{MANIFEST}: item_ids names an item twice")
    return State(manifest.algorithm, manifest.config, manifest.item_ids, arrays)


def _describe(array: NDArray[Any]) -> _Array:
    return _Array(shape=array.shape, dtype=array.dtype.str)


def _read_manifest(data: bytes) -> _Manifest:
    try:
        # The format first: a newer one may have other fields.
        written = _Format.model_validate_json(data).format
        if written > FORMAT:
            raise NewerModelFormat(f"{MANIFEST} has format {written}; this version reads up to {FORMAT}")
        return _Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise DamagedModel(f"{MANIFEST}: {place}: {first['msg']}") from error


def _read_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as members:
            unpacked = sum(member.file_size for member in members.infolist())
        if unpacked > len(data):  # `pack` does not compress
            raise DamagedModel(f"{ARRAYS} would unpack to {unpacked:,} bytes, more than the {len(data):,} it has")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    # All that zipfile and numpy raise for bytes that are no npz; a lying header can ask for any amount of memory.
    except (ValueError, OSError, EOFError, KeyError, RuntimeError, MemoryError, AttributeError, struct.error) as error:
        raise DamagedModel(f"{ARRAYS} cannot be read: {error}") from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DamagedModel(f"{ARRAYS} cannot be read: {error}") from error
