"""A split is asked in tiles, and what comes back is what the model recommends."""

import numpy as np

from ml_worker.evaluation.lists import rank
from ml_worker.evaluation.metrics import measure
from ml_worker.evaluation.splits import by_time, leave_last_out
from ml_worker.recommenders.popular import Popular


def test_lists_are_padded_and_never_name_what_was_met(make):
    split = by_time(make([(0, 0, 1), (1, 1, 2), (1, 0, 3), (0, 1, 9), (2, 2, 9)], users=3, items=3), share=0.3)
    model = Popular()
    model.fit(split.train)
    assert rank(model, split, count=3).tolist() == [[1, 2, -1], [0, 1, 2]]


def test_tiles_change_nothing(ratings):
    split = leave_last_out(ratings)
    model = Popular()
    model.fit(split.train)
    heard = []
    at_once = rank(model, split, count=20, progress=lambda done, note: heard.append(done))
    assert heard[-1] == 1
    assert (rank(model, split, count=20, tile=100) == at_once).all()
    # The most popular films are found now and then, and only now and then.
    assert 0.03 < np.mean(measure(at_once, split.test).values["hr@20"]) < 0.3
