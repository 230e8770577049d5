"""Files mapped into memory, and the copies of a distant store's files that can be."""

import hashlib
import mmap
import os
import threading
import time
from pathlib import Path

import pytest

from core.artifacts import ArtifactDamaged, ArtifactNotFound, ArtifactStore
from core.mapped import LEAST_BYTES, CachedFiles, map_file
from core.places import ArtifactsUnavailable
from tests.rigs.s3 import BUCKET, s3_server

LARGE = os.urandom(LEAST_BYTES)
FILES = {"arrays.npz": LARGE, "model.json": b"{}", "empty": b""}


@pytest.fixture(scope="module")
def s3():
    with s3_server() as server:
        yield server


class Fetched:
    """A source that counts how often it is asked."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.count = 0

    def __call__(self) -> bytes:
        self.count += 1
        return self.data

    def open(self, cache: CachedFiles) -> memoryview:
        return cache.open(self.sha256, len(self.data), self)


def test_the_files_of_a_directory_are_mapped_themselves_and_outlive_it(tmp_path):
    store = ArtifactStore(tmp_path)
    key = store.put(FILES).key
    mapped = store.map(key)
    assert isinstance(mapped["arrays.npz"].obj, mmap.mmap)
    assert mapped["arrays.npz"].readonly
    assert f"{key}/arrays.npz" in Path("/proc/self/maps").read_text()
    store.delete(key)
    assert {name: bytes(view) for name, view in mapped.items()} == FILES
    with pytest.raises(ArtifactNotFound):
        store.map(key)


@pytest.mark.parametrize("damage", [b"", b"short", bytes(len(LARGE))])
def test_a_damaged_file_is_not_served(tmp_path, damage):
    store = ArtifactStore(tmp_path)
    key = store.put(FILES).key
    path = tmp_path / key / "arrays.npz"
    path.unlink()
    with pytest.raises(ArtifactNotFound, match=r"arrays\.npz is missing"):
        store.map(key)
    path.write_bytes(damage)
    with pytest.raises(ArtifactDamaged, match=r"arrays\.npz"):
        store.map(key)


def test_a_bucket_is_fetched_once_for_all_processes_of_a_host(s3, tmp_path):
    def opened() -> ArtifactStore:
        return ArtifactStore(f"s3://{BUCKET}/mapped", s3.access, cached=CachedFiles(tmp_path / "cache", 1 << 30))

    stores = [opened(), opened()]
    for store in stores:
        store.check()
    key = stores[0].put(FILES).key
    found = [store.map(key) for store in stores]
    for files in found:
        assert {name: bytes(view) for name, view in files.items()} == FILES
        assert isinstance(files["arrays.npz"].obj, mmap.mmap)
    (copy,) = [path for path in (tmp_path / "cache").iterdir() if path.name != ".lock"]
    assert copy.name == hashlib.sha256(LARGE).hexdigest()
    stores[0].delete(key)
    assert bytes(found[1]["arrays.npz"]) == LARGE


def test_without_a_cache_a_bucket_is_read_into_memory(s3, tmp_path):
    store = ArtifactStore(f"s3://{BUCKET}/read", s3.access)
    files = store.map(store.put(FILES).key)
    assert {name: bytes(view) for name, view in files.items()} == FILES


def test_a_copy_is_verified_whenever_it_is_opened(tmp_path):
    cache, source = CachedFiles(tmp_path, 1 << 20), Fetched(LARGE)
    assert bytes(source.open(cache)) == bytes(source.open(cache)) == LARGE
    assert source.count == 1
    (tmp_path / source.sha256).write_bytes(LARGE[:-1] + b"!")
    assert bytes(source.open(cache)) == LARGE
    assert source.count == 2


def test_copies_make_room_in_the_order_of_their_last_use_and_stay_mapped(tmp_path):
    cache = CachedFiles(tmp_path, 250)
    sources = [Fetched(bytes([n]) * 100) for n in range(4)]
    views = [source.open(cache) for source in sources[:2]]
    os.utime(tmp_path / sources[1].sha256, (0, 0))
    (tmp_path / ".part-left").write_bytes(b"by a process that was killed")
    views.append(sources[2].open(cache))
    assert {path.name for path in tmp_path.iterdir()} == {".lock", sources[0].sha256, sources[2].sha256}
    assert [bytes(view) for view in views] == [source.data for source in sources[:3]]
    for source in sources[:2]:
        source.open(cache)
    assert [source.count for source in sources] == [1, 2, 1, 0]


def test_what_is_larger_than_the_cache_is_held_in_memory(tmp_path):
    cache, source = CachedFiles(tmp_path, 10), Fetched(b"eleven bytes")
    assert bytes(source.open(cache)) == b"eleven bytes"
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fails_costs_memory_and_not_the_service(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    cache, source = CachedFiles(tmp_path / "file" / "cache", 1 << 20), Fetched(b"data")
    assert bytes(source.open(cache)) == b"data"
    with pytest.raises(ArtifactsUnavailable, match=r"copies of artifacts cannot be kept \(ARTIFACTS_CACHE\): .*Not a directory"):
        ArtifactStore(tmp_path / "store", cached=cache).check()


def test_many_at_once_fetch_once(tmp_path):
    source, found = Fetched(LARGE), []

    def slow() -> bytes:
        time.sleep(0.05)
        return source()

    def ask() -> None:
        found.append(bytes(CachedFiles(tmp_path, 1 << 30).open(source.sha256, len(LARGE), slow)))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, source.count) == ([LARGE] * 5, 1)


def test_an_empty_file_is_an_empty_view(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert len(map_file(tmp_path / "empty")) == 0
