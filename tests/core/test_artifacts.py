"""The artifact store, the same in a directory and in a bucket."""

import asyncio
import os
import socket
import threading
import time
from datetime import UTC, datetime

import obstore
import pytest
from pydantic import SecretStr

from core import tables
from core.artifacts import ArtifactDamaged, ArtifactNotFound, ArtifactStore, open_artifacts
from core.held import HeldFiles
from core.orphans import POINTERS, find_orphans
from core.places import ArtifactsUnavailable, S3Access
from core.settings import CoreSettings
from tests.rigs.s3 import BUCKET, SECRET, S3Server, s3_server

FILES = {"arrays.npz": b"\x00\x01" * 50_000, "model.json": b"{}", "empty": b""}


@pytest.fixture(scope="module")
def s3():
    with s3_server() as server:
        yield server


@pytest.fixture(params=["directory", "bucket"])
def store(request, tmp_path):
    if request.param == "directory":
        return ArtifactStore(tmp_path / "artifacts")
    server: S3Server = request.getfixturevalue("s3")
    return ArtifactStore(f"s3://{BUCKET}/{tmp_path.name}", server.access)


def write(store, path, data):
    """Write past the store, as a fault would."""
    obstore.put(store._store, path, data)


def test_what_is_put_is_got(store):
    store.check()
    stored = store.put(FILES)
    assert stored.size == 100_002
    assert store.get(stored.key) == FILES
    assert store.get(stored.key) == FILES, "again, perhaps from memory"
    assert {name: entry.size for name, entry in store.files(stored.key).items()} == {"arrays.npz": 100_000, "model.json": 2, "empty": 0}


def test_a_large_file_is_whole(store):
    data = os.urandom(40 * 1024 * 1024)
    assert store.get(store.put({"large": data}).key) == {"large": data}


def test_a_file_is_streamed(store):
    stored = store.put(FILES)

    async def read(name):
        return b"".join([chunk async for chunk in store.stream(stored.key, name)])

    assert asyncio.run(read("arrays.npz")) == FILES["arrays.npz"]
    with pytest.raises(ArtifactNotFound, match="other is missing"):
        asyncio.run(read("other"))


def test_what_is_not_there_is_told(store):
    for key in ("0" * 64, "../../etc", ""):
        with pytest.raises(ArtifactNotFound):
            store.get(key)


@pytest.mark.parametrize("name", ["arrays.npz", "manifest.json"])
def test_damage_is_noticed(store, name):
    stored = store.put(FILES)
    write(store, f"{stored.key}/{name}", b"{}")
    with pytest.raises(ArtifactDamaged, match=name):
        store.get(stored.key)


def test_no_key_is_given_twice(store):
    assert store.put(FILES).key != store.put(FILES).key


def test_a_deleted_artifact_is_gone_with_all_its_files(store):
    kept, gone = store.put(FILES), store.put(FILES)
    write(store, "c" * 64 + "/arrays.npz", b"an interrupted write has no manifest")
    assert {kept.key, gone.key, "c" * 64} <= store.ages().keys()
    for key in (gone.key, "c" * 64, "d" * 64):
        store.delete(key)
    assert store.ages().keys() & {kept.key, gone.key, "c" * 64} == {kept.key}
    assert store.get(kept.key) == FILES
    with pytest.raises(ArtifactNotFound):
        store.delete("../outside")


def test_ages_are_the_times_of_the_last_write(store):
    began = time.time()
    key = store.put(FILES).key
    assert abs(store.ages()[key] - datetime.fromtimestamp(began, UTC)).total_seconds() < 60


def test_free_space_is_told_of_a_directory(store, request):
    is_bucket = "bucket" in request.node.name
    assert (store.free_bytes is None) == is_bucket
    assert is_bucket or store.free_bytes > 0


@pytest.mark.parametrize(
    ("url", "access", "reason"),
    [
        ("s3://nothing-here/prefix", None, "there is no such bucket"),
        (f"s3://{BUCKET}", S3Access("http://127.0.0.1:1", "us-east-1", SecretStr("tester"), SecretStr(SECRET)), "127.0.0.1:1"),
    ],
)
def test_a_store_that_cannot_be_used_is_told_without_secrets(s3, url, access, reason):
    store = ArtifactStore(url, access or s3.access)
    with pytest.raises(ArtifactsUnavailable) as told:
        store.check()
    assert str(told.value).startswith(f"{url} at http://127.0.0.1:")
    assert reason in str(told.value)
    assert "\n" not in str(told.value)
    assert SECRET not in str(told.value)
    with pytest.raises(ArtifactsUnavailable):
        store.get("0" * 64)
    with pytest.raises(ArtifactsUnavailable):
        store.put(FILES)
    with pytest.raises(ArtifactsUnavailable):
        store.ages()


def test_a_server_that_refuses_is_told_by_its_code(s3):
    """What Amazon answers to wrong keys, from a server that answers nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        body = b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
        answer = b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (
            len(body),
            body,
        )

        def refuse():
            with listener.accept()[0] as client:
                client.recv(65536)
                client.sendall(answer)

        thread = threading.Thread(target=refuse)
        thread.start()
        port = listener.getsockname()[1]
        store = ArtifactStore(f"s3://{BUCKET}", S3Access(f"http://127.0.0.1:{port}", "us-east-1", SecretStr("tester"), SecretStr(SECRET)))
        with pytest.raises(ArtifactsUnavailable, match="the secret key is wrong"):
            store.get("0" * 64)
        thread.join()


def test_a_directory_that_cannot_be_written_is_told(tmp_path):
    store = ArtifactStore(tmp_path / "artifacts")
    (tmp_path / "artifacts").rmdir()
    with pytest.raises(ArtifactsUnavailable, match="No such file or directory"):
        store.check()


def test_settings_name_the_store(s3, tmp_path):
    settings = {name.lower(): value for name, value in s3.environment.items()}
    bucket = open_artifacts(CoreSettings(_env_file=None, database_url="postgresql://x@y/z", **settings))
    assert bucket.address == f"s3://{BUCKET}/some/prefix at {s3.endpoint}"
    bucket.check()
    directory = open_artifacts(CoreSettings(_env_file=None, database_url="postgresql://x@y/z", artifacts_url=tmp_path / "here"))
    assert directory.address == str(tmp_path / "here")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("artifacts_url", "gs://bucket/x"),
        ("artifacts_url", "s3://"),
        ("artifacts_url", "s3://key:secret@bucket"),
        ("aws_endpoint_url", "minio:9000"),
        ("aws_endpoint_url", "http://key:secret@minio:9000"),
    ],
)
def test_wrong_addresses_are_refused(name, value):
    with pytest.raises(ValueError, match="must be"):
        CoreSettings(_env_file=None, database_url="postgresql://x@y/z", **{name: value})


def test_memory_holds_what_was_used_last():
    held = HeldFiles(total_bytes=10, file_bytes=5)
    held.keep("a", "f", b"12345")
    held.keep("b", "f", b"1234")
    assert held.find("a", "f") == b"12345"
    held.keep("c", "f", b"12")
    assert held.find("b", "f") is None, "used longest ago"
    assert (held.find("a", "f"), held.find("c", "f")) == (b"12345", b"12")
    held.keep("d", "f", b"123456")
    assert held.find("d", "f") is None, "too large for memory"


def test_every_column_that_holds_a_key_is_looked_at():
    columns = {
        (table.name, column.name) for table in tables.User.metadata.tables.values() for column in table.c if "artifact" in column.name
    }
    assert columns - {("tasks", "artifact_bytes"), ("model_versions", "artifact_bytes")} == POINTERS
    for table, column in POINTERS:
        assert f"{table}.{column} = key" in find_orphans([]).sql
