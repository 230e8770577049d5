"""The stored form of a model: arrays that can be mapped, ids that are not copied, older forms still read."""

import hashlib
import io
import json
from contextlib import suppress

import numpy as np
import pytest

from core.artifacts import ArtifactStore
from core.mapped import map_file
from ml_worker.recommenders import npz
from ml_worker.recommenders.als import Als
from ml_worker.recommenders.ids import Ids, InvalidIds, joined
from ml_worker.recommenders.popular import Popular
from ml_worker.recommenders.registry import RECOMMENDERS, load_recommender
from ml_worker.recommenders.state import DamagedModel, State, pack, unpack

ARRAYS = {
    "a": np.arange(7, dtype=np.float32),
    "a/longer name": np.arange(12, dtype=np.int64).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "one": np.array(2.5, dtype=np.float32),
    "none": np.empty((0, 3), dtype=np.float32),
    "yes": np.array([True, False]),
}


def address(array) -> int:
    return array.__array_interface__["data"][0]


def same(found, expected) -> bool:
    return found.keys() == expected.keys() and all(
        np.array_equal(found[name], expected[name]) and found[name].dtype == expected[name].dtype for name in expected
    )


def test_arrays_lie_where_the_file_is_mapped(tmp_path):
    data = npz.write(ARRAYS)
    (tmp_path / "arrays.npz").write_bytes(data)
    view = map_file(tmp_path / "arrays.npz")
    found = npz.read(view)
    assert same(found, ARRAYS)
    start = address(np.frombuffer(view, dtype=np.uint8))
    for array in (array for array in found.values() if array.size):
        assert start <= address(array) < start + len(data)
        assert address(array) % npz.ALIGNMENT == 0
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_the_same_arrays_are_the_same_bytes_and_numpy_reads_them():
    data = npz.write(ARRAYS)
    assert npz.write(dict(reversed(ARRAYS.items()))) == data
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        assert same(dict(archive), ARRAYS)


def test_what_numpy_wrote_is_read_though_misaligned():
    buffer = io.BytesIO()
    np.savez(buffer, **ARRAYS)
    found = npz.read(buffer.getvalue())
    assert same(found, ARRAYS)
    assert all(array.flags.aligned for array in found.values())


@pytest.mark.parametrize("cut", [0, 1, 30, 100, -1, -30, -400])
def test_part_of_a_file_is_refused(cut):
    with pytest.raises(npz.UnreadableArrays):
        npz.read(npz.write(ARRAYS)[:cut])


def test_any_changed_byte_is_refused_or_read():
    """Hashes find damage; this is about what somebody forges with hashes that are right."""
    data = npz.write(ARRAYS)
    for place in range(0, len(data), 7):
        forged = data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
        with suppress(npz.UnreadableArrays):
            npz.read(forged)


def test_compressed_arrays_are_refused_before_they_grow():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.zeros(1_000_000))
    with pytest.raises(npz.UnreadableArrays, match=r"a\.npy is compressed or encrypted: it would unpack to 8,000,128 bytes"):
        npz.read(buffer.getvalue())


def test_ids_are_texts_of_any_kind():
    names = ("", "plain", "größer", "日本", "a\nb", "\U0001f3ac")
    ids = Ids(*joined(names))
    assert ids == names
    assert [*ids] == [ids[place] for place in range(6)] == [*names]
    assert (ids[-1], ids[1:3], ids.index("日本"), len(ids), "plain" in ids) == (names[-1], names[1:3], 3, 6, True)
    assert ids != names[:-1]
    assert hash(ids) == hash(names)
    with pytest.raises(IndexError):
        ids[6]
    assert len(Ids(*joined(()))) == 0


@pytest.mark.parametrize(
    ("text", "offsets", "reason"),
    [
        (b"aa", [0, 1, 2], "twice"),
        (b"ab", [0, 1], "do not divide 2 bytes"),
        (b"ab", [1, 2], "do not divide"),
        (b"abc", [0, 2, 1, 3], "do not divide"),
        (b"\xff", [0, 1], "not UTF-8"),
        ("é".encode(), [0, 1, 2], "not UTF-8"),
        (b"", [], "one dimension"),
    ],
)
def test_what_are_no_ids_is_refused(text, offsets, reason):
    with pytest.raises(InvalidIds, match=reason):
        Ids(np.frombuffer(text, dtype=np.uint8), np.array(offsets, dtype=np.int64))


def as_format_1(files):
    """The files as the first format had them: the ids in the JSON, the arrays as numpy writes them."""
    state, manifest, buffer = unpack(files), json.loads(files["model.json"]), io.BytesIO()
    np.savez(buffer, **dict(sorted(state.arrays.items())))
    arrays = {name: told for name, told in manifest["arrays"].items() if not name.startswith("item_ids/")}
    sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
    told = {**manifest, "format": 1, "arrays": arrays, "arrays_sha256": sha256, "item_ids": [*state.item_ids]}
    return {"arrays.npz": buffer.getvalue(), "model.json": json.dumps(told).encode()}


@pytest.mark.parametrize("algorithm", [Popular, Als])
def test_format_1_is_still_read(drawn, algorithm):
    model = algorithm()
    model.fit(drawn)
    files = as_format_1(model.save())
    loaded = load_recommender(files)
    assert loaded.item_ids == drawn.item_ids
    assert np.array_equal(loaded.scores(drawn.histories()), model.scores(drawn.histories()))
    assert loaded.save() == model.save()
    manifest = json.loads(files["model.json"])
    for ids, reason in (
        (["same"] * 40, "names an item twice"),
        (manifest["item_ids"][:-1], "a model of 39 items needs"),
        (None, "missing"),
    ):
        with pytest.raises(DamagedModel, match=reason):
            load_recommender({**files, "model.json": json.dumps({**manifest, "item_ids": ids}).encode()})


def test_a_model_without_its_ids_is_refused():
    files = pack(State("popular", {}, (), ARRAYS), libraries=())
    manifest, data = json.loads(files["model.json"]), npz.write(ARRAYS)
    arrays = {name: told for name, told in manifest["arrays"].items() if name in ARRAYS}
    told = {**manifest, "arrays": arrays, "arrays_sha256": hashlib.sha256(data).hexdigest()}
    with pytest.raises(DamagedModel, match="item_ids missing"):
        unpack({"arrays.npz": data, "model.json": json.dumps(told).encode()})


@pytest.mark.parametrize("name", sorted(RECOMMENDERS))
def test_every_algorithm_serves_its_arrays_where_they_are_mapped(drawn, tmp_path, name, explain):
    """Also those of its parts: nothing that a model keeps is a copy of one of its large arrays."""
    model = RECOMMENDERS[name]()
    model.fit(drawn)
    store = ArtifactStore(tmp_path)
    key = store.put(model.save()).key
    files = store.map(key)
    loaded = load_recommender(files)
    store.delete(key)
    start = address(np.frombuffer(files["arrays.npz"], dtype=np.uint8))
    for array in loaded._fitted().arrays.values():
        assert not array.size or start <= address(array) < start + len(files["arrays.npz"])
    asked = drawn.histories()
    rankings = loaded.recommend(asked, count=5)
    assert np.array_equal(loaded.scores(asked), model.scores(asked))
    assert str(explain(loaded, asked, rankings)) == str(explain(model, asked, rankings))
    if loaded.can_update:
        loaded.update(drawn, since=len(drawn) - 20)
