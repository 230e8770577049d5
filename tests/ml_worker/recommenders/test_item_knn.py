"""What is particular to item neighbourhoods: the two measures, and the number of neighbours."""

import numpy as np
import pytest

from ml_worker.recommenders.item_knn import ItemKnn


def expected(interactions, config: ItemKnn.Config) -> np.ndarray:
    likes = (interactions.matrix().toarray() > 0).astype(float)
    counts, lengths = likes.sum(axis=0), np.maximum(likes.sum(axis=1), 1)
    if config.similarity == "cosine":
        nearness = likes.T @ likes / (np.sqrt(np.outer(counts, counts)) + config.shrink)
    else:
        nearness = (likes.T @ (likes * (lengths.mean() / lengths)[:, None])) / (counts[:, None] * counts[None, :] ** config.beta)
    np.fill_diagonal(nearness, 0)
    return nearness


@pytest.mark.parametrize("config", [{}, {"shrink": 0.0}, {"similarity": "rp3beta"}, {"similarity": "rp3beta", "beta": 0.0}])
@pytest.mark.parametrize("dense_items", [10_000, 1])
def test_the_weights_are_those_of_the_formula(drawn, config, dense_items):
    model = ItemKnn(ItemKnn.Config(dense_items=dense_items, **config))
    model.fit(drawn)
    assert model._effects.weights.toarray() == pytest.approx(expected(drawn, model.config), rel=1e-4, abs=1e-6)


def test_each_item_has_so_many_neighbours_and_the_nearest(drawn):
    model = ItemKnn(ItemKnn.Config(neighbours=3))
    model.fit(drawn)
    for column, all_near in zip(model._effects.weights.toarray().T, expected(drawn, model.config).T, strict=True):
        assert np.count_nonzero(column) == 3
        assert column.sum() == pytest.approx(np.sort(all_near)[-3:].sum(), rel=1e-4)


def test_the_contributions_of_a_history_add_up_to_the_score(drawn):
    model = ItemKnn()
    model.fit(drawn)
    for row in range(5):
        history = drawn.histories([row])
        assert model._contributions(history, np.arange(40)).sum(axis=1) == pytest.approx(model.scores(history)[0], abs=1e-5)
