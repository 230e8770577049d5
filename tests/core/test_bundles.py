"""Bundles: what is written is read back, and nothing else is."""

import io
import json
import re
import zipfile
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import bundles
from core.bundles import BundleRefused, NewerBundle

VERSION = {
    "algorithm": "als",
    "scope": "full",
    "parameters": {"factors": 8},
    "data_window": {"interaction_count": 180, "last_id": 7},
    "metrics": {"values": {"ndcg@10": {"value": 0.2}}},
    "training_seconds": 1.5,
    "created_at": datetime(2026, 11, 1, tzinfo=UTC),
}
FILES = {"arrays.npz": b"numbers" * 1000, "model.json": b'{"format": 1}'}
LARGEST = 100_000


def packed(version=VERSION, files=FILES) -> bytes:
    target = io.BytesIO()
    bundles.write(target, version, files)
    return target.getvalue()


def rezipped(change=None, **members: bytes) -> bytes:
    """The bundle with its manifest changed or its members replaced, under checksums of zip that are right."""
    with zipfile.ZipFile(io.BytesIO(packed())) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    if change:
        manifest = json.loads(found[bundles.MANIFEST])
        change(manifest)
        found[bundles.MANIFEST] = json.dumps(manifest).encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**found, **{name.replace("__", "."): data for name, data in members.items()}}.items():
            archive.writestr(name, data)
    return target.getvalue()


@pytest.fixture
def read(tmp_path):
    def read(data: bytes, largest=LARGEST):
        (tmp_path / "bundle.zip").write_bytes(data)
        return bundles.read(tmp_path / "bundle.zip", largest_bytes=largest)

    return read


def test_what_is_written_is_read_back_and_always_the_same_bytes(read):
    manifest, files = read(packed())
    assert {name: files[name] for name in FILES} == FILES
    assert (manifest.algorithm, manifest.parameters, manifest.trained_at) == ("als", {"factors": 8}, "2026-11-01T00:00:00+00:00")
    assert manifest.data_window == {"interaction_count": 180}, "ids mean nothing elsewhere"
    assert packed() == packed(files=files), "an imported model is exported as it came"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no whole zip file"),
        (b"PK no zip at all", "no whole zip file"),
        (packed()[:-200], "no whole zip file"),
        (packed()[200:], "zip file|no bundle"),
        (rezipped(arrays__npz=b"numbers" * 999 + b"numberz"), "arrays.npz is not what its manifest declares"),
        (rezipped(arrays__npz=b"\0" * 50_000_000), "arrays.npz unpacks to 50,000,000 bytes, its manifest declares 7,000"),
        (rezipped(evil__py=b"import os"), "it holds arrays.npz, bundle.json, evil.py, model.json, its manifest declares"),
        (rezipped(lambda told: told["files"].pop("model.json")), "its manifest declares arrays.npz"),
        (rezipped(lambda told: told["files"].update({"../x.npz": told["files"].pop("arrays.npz")})), "should match pattern"),
        (rezipped(lambda told: told.update(extra=1)), "extra: Extra inputs are not permitted"),
        (rezipped(lambda told: told.pop("algorithm")), "algorithm: Field required"),
        (rezipped(bundle__json=b"no json"), "bundle.json: the document: Invalid JSON"),
        (rezipped(bundle__json=b" " * (2 << 20)), "its bundle.json has 2,097,152 bytes"),
    ],
)
def test_what_is_no_whole_bundle_is_refused_with_the_place(read, data, message):
    with pytest.raises(BundleRefused, match=message):
        read(data)


def test_a_zip_of_something_else_is_no_bundle(read):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("holiday.jpg", b"")
    with pytest.raises(BundleRefused, match=re.escape("it has no bundle.json; it is no bundle of a model")):
        read(target.getvalue())


def test_what_is_too_large_is_refused_before_it_is_unpacked(read):
    with pytest.raises(BundleRefused, match="its files have 7,013 bytes, 1,000 are allowed"):
        read(packed(), largest=1000)


def test_a_newer_format_is_named_whatever_else_it_holds(read):
    with pytest.raises(NewerBundle, match=r"written by a newer Marquee \(format 2\); this one reads up to format 1: upgrade first"):
        read(rezipped(lambda told: (told.clear(), told.update(format=2, shards=[]))))


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(place=st.integers(0, len(packed()) - 1), flip=st.integers(1, 255), cut=st.booleans())
def test_a_changed_or_missing_byte_never_gives_another_model(tmp_path_factory, place, flip, cut):
    whole = packed()
    data = whole[:place] if cut else whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :]
    path = tmp_path_factory.getbasetemp() / "changed.zip"
    path.write_bytes(data)
    try:
        manifest, files = bundles.read(path, largest_bytes=LARGEST)
    except BundleRefused:
        return
    # Some bytes of a zip mean nothing, as its time stamps; the model is whole then.
    assert {name: files[name] for name in FILES} == FILES
    assert manifest.algorithm == "als"
