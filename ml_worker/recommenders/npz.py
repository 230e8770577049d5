"""Arrays as one npz file that can be mapped: nothing compressed, every array where the processor wants it; no objects, ever."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from math import prod
from tokenize import TokenError
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

ALIGNMENT: Final = 64
"""Arrays begin at multiples of so many bytes: a line of the processor's cache, more than any number needs."""

_PADDING_TAG: Final = 0xD935  # what Android's zipalign uses for the same purpose; readers skip what they do not know
_LOCAL_HEADER: Final = 30
_ZIP64_EXTRA: Final = 20
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_SUFFIX: Final = ".npy"
# All that zipfile and numpy raise for bytes that are no npz; numpy parses headers as Python literals.
_BROKEN: Final = (
    ValueError, OSError, EOFError, KeyError, RuntimeError, MemoryError, AttributeError, TypeError, SyntaxError, TokenError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class UnreadableArrays(Exception):
    """The bytes are no npz of plain arrays; the message says why."""


def write(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The file: the same bytes for the same arrays, readable by `numpy.load` too."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in sorted(arrays.items()):
            member = zipfile.ZipInfo(name + _SUFFIX, _EPOCH)
            before = buffer.tell() + _LOCAL_HEADER + len(member.filename.encode()) + 4 + _ZIP64_EXTRA
            # The header that numpy writes fills a multiple of 64 bytes, so that where the member begins decides.
            member.extra = struct.pack("<HH", _PADDING_TAG, -before % ALIGNMENT) + bytes(-before % ALIGNMENT)
            with archive.open(member, "w", force_zip64=True) as file:
                npy.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def read(data: bytes | memoryview) -> dict[str, NDArray[Any]]:
    """The arrays, read-only and in the memory of `data`; what is misaligned there is copied. Raises `UnreadableArrays`."""
    view = memoryview(data)
    try:
        with zipfile.ZipFile(_Reading(view)) as archive:
            members = archive.infolist()
        return {member.filename.removesuffix(_SUFFIX): _array(view, member) for member in members}
    except _BROKEN as error:
        raise UnreadableArrays(str(error)) from error


def _array(view: memoryview, member: zipfile.ZipInfo) -> NDArray[Any]:
    name = member.filename
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 or member.file_size != member.compress_size:
        raise ValueError(f"{name} is compressed or encrypted: it would unpack to {member.file_size:,} bytes")
    content = view[_start(view, member) :][: member.file_size]
    file = _Reading(content)
    version = npy.read_magic(file)
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read_header is None:
        raise ValueError(f"{name} has the npy version {version}")
    shape, is_fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError(f"{name} holds objects")
    count, rest = prod(shape), content[file.tell() :]
    if count * dtype.itemsize != len(rest):
        raise ValueError(f"{name} has {len(rest):,} bytes for {count:,} numbers of {dtype}")
    if not count:
        return np.empty(shape, dtype)
    array: NDArray[Any] = np.frombuffer(rest, dtype).reshape(shape, order="F" if is_fortran else "C")
    if not array.flags.aligned:  # as older versions wrote it
        array = array.copy()
    array.flags.writeable = False
    return array


def _start(view: memoryview, member: zipfile.ZipInfo) -> int:
    """Where the content of a member begins: behind its local header, which may differ from what the directory says."""
    header = view[member.header_offset :][:_LOCAL_HEADER]
    if len(header) < _LOCAL_HEADER or bytes(header[:4]) != b"PK\x03\x04":
        raise ValueError(f"{member.filename} has no local header")
    name_length, extra_length = struct.unpack("<HH", header[26:])
    start: int = member.header_offset + _LOCAL_HEADER + name_length + extra_length
    return start


class _Reading(io.RawIOBase):
    """A file over memory, without a copy of it."""

    def __init__(self, view: memoryview) -> None:
        super().__init__()
        self._view = view
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._view[self._place : self._place + len(buffer)]
        buffer[: len(part)] = part
        self._place += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: len(self._view)}[whence]
        if base + offset < 0:
            raise ValueError(f"there is no place {base + offset}")
        self._place = base + offset
        return self._place
