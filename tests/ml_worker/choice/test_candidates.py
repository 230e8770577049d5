"""What a candidate is given of time and of the catalogue."""

import numpy as np

from ml_worker.choice.candidates import CANDIDATES, Candidate, sized

NETWORK = Candidate("recurrent", "recurrent", {"size": 4, "hidden": 8, "decays": [0.0, 0.5], "window": 8})


def lessons(seconds: float, likes: int) -> int:
    return sized(NETWORK, np.full(50, likes // 50), seconds).config["lessons"]


def test_a_network_gets_the_lessons_that_time_and_data_are_worth():
    assert lessons(-1.0, 1_000_000) == 1
    assert lessons(1.0, 1_000_000) > 10 * lessons(1e-3, 1_000_000) >= 10
    assert lessons(1e6, 1000) == 20 * 1000
    assert lessons(1e6, 10_000_000) == 20_000_000


def test_without_a_like_there_is_nothing_to_size():
    assert sized(NETWORK, np.zeros(50, dtype=np.int64), 1.0) == NETWORK


def test_what_takes_all_the_time_it_gets_comes_last():
    for candidates in CANDIDATES.values():
        families = [candidate.family for candidate in candidates]
        assert "recurrent" not in families[:-1]


def test_linear_models_of_a_large_catalogue_keep_fewer_weights_of_more_items():
    candidate = Candidate("ease", "ease", {})
    small, large = (sized(candidate, np.full(items, 9), 1.0).config for items in (1000, 30_000))
    assert (small["dense_items"], large["dense_items"]) == (4000, 10_000)
    assert small["kept"] > large["kept"] >= 200
