"""Folders and archives are opened alike; what is damaged, locked, unsafe or unknown is refused in one sentence."""

import io
import os
import tarfile
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.problems import ArchiveUnreadable, DatasetUnusable, LayoutUnknown, SourceNotFound


@pytest.mark.parametrize("inside", ["", "ml-latest-small/", "some/where/deep/ml-25m/"])
def test_a_zip_wherever_the_folder_sits(samples, read, inside):
    assert len(read(samples.zip(samples.csv, inside=inside)).rows) == 5


@pytest.mark.parametrize(("name", "mode"), [("a.tar.gz", "w:gz"), ("a.tar", "w"), ("a.tar.xz", "w:xz"), ("a.tar.bz2", "w:bz2")])
def test_a_tar(samples, read, name, mode):
    assert len(read(samples.tar(samples.csv, name=name, mode=mode)).rows) == 5


def test_a_folder_above_the_data(samples, read, tmp_path):
    samples.folder(samples.csv, name="downloads/ml-test")
    assert len(read(tmp_path).rows) == 5


def test_shadow_files_of_macos_are_ignored(samples, read):
    path = samples.zip(samples.csv)
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("ratings.csv", "movies.csv"):
            archive.writestr(f"__MACOSX/ml-test/{name}", b"\0\5\x16\7")
    assert len(read(path).rows) == 5


def test_no_such_file(read, tmp_path):
    with pytest.raises(SourceNotFound, match=r"^nothing\.zip does not exist$"):
        read(tmp_path / "nothing.zip")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_nobody_may_read(samples, read):
    path = samples.zip(samples.csv)
    path.chmod(0)
    with pytest.raises(SourceNotFound, match=r"^ml-test\.zip cannot be read: Permission denied$"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"movieId,title\n1,Heat\n", b"\xff" * 4096])
def test_no_archive(read, tmp_path, content):
    (tmp_path / "movies.dat").write_bytes(content)
    with pytest.raises(ArchiveUnreadable, match=r"^movies\.dat is neither a folder nor a \.zip or \.tar\.gz archive$"):
        read(tmp_path / "movies.dat")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_truncated_archive(samples, read, kind, share):
    path = getattr(samples, kind)(samples.csv)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ArchiveUnreadable, match=r"is damaged or cut short and cannot be unpacked( \(|$)"):
        read(path)


def test_a_bit_flipped_in_the_ratings(samples, read):
    path = samples.zip(samples.csv)
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("ml-test/ratings.csv").header_offset
    content = bytearray(path.read_bytes())
    content[start + 30 + len("ml-test/ratings.csv") + 20] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(ArchiveUnreadable, match="is damaged or cut short"):
        read(path)


def test_a_password(samples, read):
    path = samples.zip(samples.csv)
    content = path.read_bytes()
    content = content.replace(b"PK\x03\x04\x14\x00\x00", b"PK\x03\x04\x14\x00\x01").replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
    )
    path.write_bytes(content)
    with pytest.raises(ArchiveUnreadable, match=r"^ml-test\.zip is protected by a password; unpack it and import the folder$"):
        read(path)


@pytest.mark.parametrize("name", ["../ratings.csv", "/etc/ratings.csv", "a/../../ratings.csv", "..\\ratings.csv", "C:\\ratings.csv"])
def test_names_that_point_outside(samples, read, tmp_path, name):
    path = samples.zip(samples.csv)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    with pytest.raises(ArchiveUnreadable, match=r"^ml-test\.zip holds the unsafe name .*, which points outside the archive$"):
        read(path)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(ArchiveUnreadable, match=r"^a\.tar\.gz holds the unsafe name"):
        read(tmp_path / "a.tar.gz")


def test_links_in_a_tar_are_not_followed(samples, read, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("userId,movieId,rating,timestamp\n1,1,4,5\n")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(samples.folder(samples.csv) / "movies.csv", arcname="movies.csv")
        link = tarfile.TarInfo("ratings.csv")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        tar.addfile(link)
    with pytest.raises(LayoutUnknown, match=r"has movies\.csv but lacks ratings\.csv"):
        read(tmp_path / "a.tar")


def test_layouts_that_are_incomplete_unknown_or_several(samples, read):
    with pytest.raises(LayoutUnknown, match=r"^ml-test has ratings\.csv but lacks movies\.csv$"):
        read(samples.folder({"ratings.csv": samples.csv["ratings.csv"]}))
    with pytest.raises(LayoutUnknown, match=r"^empty holds no data set of a known layout, .*: ratings\.csv and movies\.csv; ratings\.dat"):
        read(samples.folder({"notes.txt": "hello"}, name="empty"))
    two = {f"{name}/{file}": content for name in ("a", "b") for file, content in samples.csv.items()}
    with pytest.raises(LayoutUnknown, match=r"^ml-test\.zip holds more than one data set \(x/a, x/b\); import one of them$"):
        read(samples.zip(two, inside="x/"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["zip", "tar"]), changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_whatever_is_damaged_is_told_in_a_sentence(samples, read, kind, changes):
    path = getattr(samples, kind)(samples.csv)
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    path.write_bytes(content)
    problem = None
    try:
        read(path, most_bad=1_000_000)
    except DatasetUnusable as raised:
        problem = raised
    assert "\n" not in str(problem)
