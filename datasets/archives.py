"""Opens a folder, a .zip or a .tar archive as named files that can be streamed; nothing is written outside a temporary folder."""

import re
import shutil
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

from datasets.problems import ArchiveUnreadable, SourceNotFound

ENCRYPTED = 0x1  # bit of a zip member's flags (APPNOTE.TXT 4.4.4)
ZIP_MAGIC = b"PK"
COMPRESSED_MAGICS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")
FOLDER_DEPTH = 3
LARGEST_MEMBER_BYTES = 8 << 30

_DRIVE = re.compile(r"[A-Za-z]:")
_DAMAGE: tuple[type[Exception], ...] = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, LZMAError, NotImplementedError)
_TAR_DAMAGE: tuple[type[Exception], ...] = (*_DAMAGE, OSError)


@dataclass(frozen=True, slots=True)
class File:
    """A file of a data set: its path inside the source, its size in bytes when unpacked, and how to read it."""

    path: PurePosixPath
    size: int
    open: Callable[[], AbstractContextManager[IO[bytes]]]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.name


@contextmanager
def open_source(path: Path, *, wanted: Container[str], shown_as: str) -> Iterator[list[File]]:
    """The files with a wanted name, anywhere in an archive or a few folders deep; `shown_as` is the source's name for messages.

    Raises `SourceNotFound` and `ArchiveUnreadable`; damage that shows only while reading raises `ArchiveUnreadable` then.
    """
    try:
        if not path.exists():
            raise SourceNotFound(f"{shown_as} does not exist")
        if path.is_dir():
            yield _folder_files(path, wanted)
        elif _starts_with(path, ZIP_MAGIC):
            with _zip_files(path, wanted, shown_as) as files:
                yield files
        else:
            with _tar_files(path, wanted, shown_as) as files:
                yield files
    except OSError as error:
        raise SourceNotFound(f"{shown_as} cannot be read: {error.strerror or error}") from error


def _folder_files(folder: Path, wanted: Container[str]) -> list[File]:
    return [
        File(PurePosixPath(path.relative_to(folder)), path.stat().st_size, _path_opener(path))
        for depth in range(1, FOLDER_DEPTH + 1)
        for path in sorted(folder.glob("/".join("*" * depth)))
        if path.name in wanted and path.is_file()
    ]


def _path_opener(path: Path) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    return lambda: path.open("rb")


@contextmanager
def _zip_files(path: Path, wanted: Container[str], name: str) -> Iterator[list[File]]:
    with _told_as_damage(name, struct.error, ValueError, OSError):
        archive = zipfile.ZipFile(path)
    with archive:
        for member in archive.infolist():
            _refuse_unsafe_name(member.filename, name)
        yield [
            File(PurePosixPath(member.filename), member.file_size, _zip_opener(archive, member, name))
            for member in archive.infolist()
            if PurePosixPath(member.filename).name in wanted and not member.is_dir()
        ]


def _zip_opener(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    @contextmanager
    def open_member() -> Iterator[IO[bytes]]:
        if member.flag_bits & ENCRYPTED:
            raise ArchiveUnreadable(f"{name} is protected by a password; unpack it and import the folder")
        with _told_as_damage(name), archive.open(member) as stream:
            yield stream

    return open_member


@contextmanager
def _tar_files(path: Path, wanted: Container[str], name: str) -> Iterator[list[File]]:
    """Unpacks what is wanted: a compressed tar can only be read from front to back."""
    compressed = any(_starts_with(path, magic) for magic in COMPRESSED_MAGICS)
    with tempfile.TemporaryDirectory(prefix="marquee-import-") as folder:
        files = []
        try:
            with tarfile.open(path) as archive:
                for number, member in enumerate(archive):
                    _refuse_unsafe_name(member.name, name)
                    if member.isfile() and PurePosixPath(member.name).name in wanted:
                        files.append(_unpack(archive, member, Path(folder) / str(number), name))
        except _TAR_DAMAGE as error:
            if isinstance(error, OSError) and error.errno:  # a full disk, say, and not the decompressor's complaint
                raise
            if compressed or files:
                raise _damage(name, error) from error
            raise ArchiveUnreadable(f"{name} is neither a folder nor a .zip or .tar.gz archive") from error
        yield files


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, name: str) -> File:
    if member.size > LARGEST_MEMBER_BYTES:
        raise ArchiveUnreadable(f"{name} holds {member.name} of {member.size >> 30} GB, which is more than can be a data set")
    stream = archive.extractfile(member)
    assert stream is not None
    with stream, target.open("wb") as copy:
        shutil.copyfileobj(stream, copy)
    return File(PurePosixPath(member.name), member.size, _path_opener(target))


def _refuse_unsafe_name(member: str, name: str) -> None:
    """Nothing is unpacked under a member's name, but an archive that tries to write elsewhere is not to be trusted."""
    path = PurePosixPath(member.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or _DRIVE.match(member):
        raise ArchiveUnreadable(f"{name} holds the unsafe name {member!r}, which points outside the archive")


@contextmanager
def _told_as_damage(name: str, *also: type[Exception]) -> Iterator[None]:
    try:
        yield
    except (*_DAMAGE, *also) as error:
        raise _damage(name, error) from error


def _damage(name: str, error: Exception) -> ArchiveUnreadable:
    reason = str(error) or type(error).__name__
    detail = "" if "\n" in reason else f" ({reason})"
    return ArchiveUnreadable(f"{name} is damaged or cut short and cannot be unpacked{detail}")


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic
