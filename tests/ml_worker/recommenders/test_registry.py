"""Finding an algorithm by name."""

import json

import pytest

from ml_worker.recommenders.popular import Popular
from ml_worker.recommenders.registry import UnknownAlgorithm, find_recommender, load_recommender


def test_an_unknown_algorithm_is_an_error_that_lists_the_known():
    assert find_recommender("popular") is Popular
    with pytest.raises(
        UnknownAlgorithm,
        match="'psychic'; known are adjacent, als, blend, ease, infinite_ae, item_knn, lightfm, popular, recurrent, rerank, sequential",
    ):
        find_recommender("psychic")


def test_a_model_of_an_unknown_algorithm_is_an_error_by_name(drawn):
    model = Popular()
    model.fit(drawn)
    files = model.save()
    manifest = {**json.loads(files["model.json"]), "algorithm": "psychic"}
    with pytest.raises(UnknownAlgorithm, match="psychic"):
        load_recommender({**files, "model.json": json.dumps(manifest).encode()})
