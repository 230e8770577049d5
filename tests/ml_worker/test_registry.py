"""Models in the memory of a worker: mapped where they are stored, or from a copy."""

from pathlib import Path

import numpy as np

from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.popular import Popular
from ml_worker.registry import open_registry
from ml_worker.settings import WorkerSettings


def opened(**told):
    return open_registry(WorkerSettings(_env_file=None, database_url="postgresql://x@y/z", **told))


def test_a_model_is_mapped_where_it_is_stored_or_from_a_copy(tmp_path):
    model = Popular()
    names = [f"item {n}" for n in range(100_000)]
    model.fit(Interactions.from_events(["u"] * len(names), names, np.ones(len(names)), np.arange(len(names))))
    store = str(tmp_path / "store")
    key = opened(artifacts_url=store).store.put(model.save()).key
    for told, place in (({}, f"store/{key}"), ({"artifacts_cache": tmp_path / "cache"}, "cache")):
        registry = opened(artifacts_url=store, **told)
        registry.store.check()
        loaded = registry.load(key)
        assert loaded.item_ids[7] == model.item_ids[7]
        assert str(tmp_path / place) in Path("/proc/self/maps").read_text()
