"""What is particular to LightFM: the regressed users, features, and what each loss makes of dislikes."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.lightfm import LightFm


def fitted(interactions: Interactions, **config) -> LightFm:
    made = LightFm(LightFm.Config(factors=8, **config))
    made.fit(interactions)
    return made


@pytest.mark.parametrize("loss", ["warp", "bpr", "logistic"])
def test_every_loss_learns_the_taste(drawn, loss):
    model = fitted(drawn, loss=loss)
    even, odd = model.scores(Histories.from_events([0, 0, 1, 1], [0, 2, 1, 3], [1] * 4, shape=(2, 40)))
    assert even[4::2].mean() > even[5::2].mean()
    assert odd[5::2].mean() > odd[4::2].mean()


def test_the_contributions_are_the_score_without_what_all_users_share(drawn):
    model = fitted(drawn)
    nobody = model._vectors[:, :-1] @ model._map[-1] + model._vectors[:, -1]
    for row in range(5):
        history = drawn.histories([row])
        parts = model._contributions(history, np.arange(40, dtype=np.int32))
        assert parts.sum(axis=1) + nobody == pytest.approx(model.scores(history)[0], abs=1e-4)


def test_features_bring_an_item_without_likes_to_its_kind(drawn):
    stripped = drawn.part(drawn.items < 38)
    columns = (stripped.users, stripped.items, stripped.weights, stripped.times)
    kinds = csr_matrix(np.eye(2, dtype=np.float32)[np.arange(40) % 2])
    tastes = csr_matrix(np.eye(2, dtype=np.float32)[np.arange(60) % 2])
    known = Interactions(stripped.user_ids, stripped.item_ids, *columns, item_features=kinds, user_features=tastes)
    scores = fitted(known, epochs=300).scores(Histories.from_events([0, 0, 1, 1], [0, 2, 1, 3], [1] * 4, shape=(2, 40)))
    assert scores[0, 38] - scores[0, 39] > scores[1, 38] - scores[1, 39]
