"""The stored form of a trained recommender: arrays as npz, everything else as JSON, no code in either."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from ml_worker.recommenders import npz
from ml_worker.recommenders.ids import Ids, InvalidIds, joined

FORMAT: Final = 2
ARRAYS: Final = "arrays.npz"
MANIFEST: Final = "model.json"

Files = Mapping[str, bytes] | Mapping[str, memoryview]
"""Files by name: in memory, or mapped."""

_PART: Final = 1 << 20
_ID_TEXT: Final = "item_ids/text"
_ID_OFFSETS: Final = "item_ids/offsets"


class DamagedModel(Exception):
    """The files are not what was saved; the message says which and why."""


class NewerModelFormat(Exception):
    """The files were written by a newer Marquee."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """All of a trained recommender."""

    algorithm: str
    config: Mapping[str, Any]
    item_ids: Sequence[str]
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
    item_ids: tuple[str, ...] | None = None
    """Of format 1; since format 2 they are arrays too."""

    @model_validator(mode="after")
    def _has_ids_once(self) -> "_Manifest":
        if (self.item_ids is None) == (self.format == 1):
            raise ValueError(f"item_ids are {'missing' if self.item_ids is None else 'not to be here'} in format {self.format}")
        return self


def pack(state: State, *, libraries: tuple[str, ...]) -> dict[str, bytes]:
    """The state as files, the same bytes for the same state; `libraries` are the distributions whose versions are noted."""
    text, offsets = joined(state.item_ids)
    arrays = {**state.arrays, _ID_TEXT: text, _ID_OFFSETS: offsets}
    data = npz.write(arrays)
    manifest = _Manifest(
        format=FORMAT,
        algorithm=state.algorithm,
        config=dict(state.config),
        libraries={name: version(name) for name in libraries},
        arrays_sha256=hashlib.sha256(data).hexdigest(),
        arrays={name: _describe(array) for name, array in sorted(arrays.items())},
    )
    return {ARRAYS: data, MANIFEST: manifest.model_dump_json(exclude_none=True).encode()}


def unpack(files: Files) -> State:
    """The state in files that `pack` made; its arrays are read-only and lie in the memory of the file, so that a mapped one is shared.

    Raises `DamagedModel` or `NewerModelFormat`.
    """
    missing = sorted({ARRAYS, MANIFEST} - files.keys())
    if missing:
        raise DamagedModel(f"{' and '.join(missing)} missing")
    manifest = _read_manifest(bytes(files[MANIFEST]))
    if hashlib.sha256(files[ARRAYS]).hexdigest() != manifest.arrays_sha256:
        raise DamagedModel(f"{ARRAYS} does not have the SHA-256 that {MANIFEST} gives")
    arrays = _read_arrays(files[ARRAYS])
    found = {name: _describe(array) for name, array in arrays.items()}
    for name in sorted(found.keys() | manifest.arrays.keys()):
        if found.get(name) != manifest.arrays.get(name):
            raise DamagedModel(f"{ARRAYS}: {name} is {found.get(name)}, {MANIFEST} says {manifest.arrays.get(name)}")
    ids = (arrays.pop(_ID_TEXT, None), arrays.pop(_ID_OFFSETS, None)) if manifest.item_ids is None else joined(manifest.item_ids)
    if ids[0] is None or ids[1] is None:
        raise DamagedModel(f"{ARRAYS}: item_ids missing")
    try:
        return State(manifest.algorithm, manifest.config, Ids(ids[0], ids[1]), arrays)
    except InvalidIds as error:
        raise DamagedModel(f"{ARRAYS if manifest.item_ids is None else MANIFEST}: {error}") from error


def is_finite(array: NDArray[Any]) -> bool:
    """Whether all numbers are; in parts, because what says it of all at once would be a quarter of the array more."""
    numbers = array.reshape(-1, order="A")
    return all(bool(np.isfinite(numbers[start : start + _PART]).all()) for start in range(0, len(numbers), _PART))


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


def _read_arrays(data: bytes | memoryview) -> dict[str, NDArray[Any]]:
    try:
        return npz.read(data)
    except npz.UnreadableArrays as error:
        raise DamagedModel(f"{ARRAYS} cannot be read: {error}") from error


def check_arrays(state: State, layout: Mapping[str, tuple[tuple[int | None, ...], type[np.generic]]]) -> None:
    """Hold the arrays of a state against the shapes and dtypes they should have; None stands for any length. Raises `DamagedModel`."""
    if state.arrays.keys() != layout.keys():
        raise DamagedModel(f"{state.algorithm} consists of {sorted(layout)}, not of {sorted(state.arrays)}")
    for name, (shape, dtype) in layout.items():
        array = state.arrays[name]
        fits = len(array.shape) == len(shape) and all(size in (None, found) for size, found in zip(shape, array.shape, strict=True))
        if not fits or array.dtype != dtype:
            items, needed = len(state.item_ids), f"{np.dtype(dtype)} {shape}"
            raise DamagedModel(f"{name} is {array.dtype} {array.shape}, a model of {items} items needs {needed}")
