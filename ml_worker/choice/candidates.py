"""Which models are tried, by what is asked: presets and their neighbours, as far as publications and our own trials call them good."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_worker.recommenders.lessons import Task
from ml_worker.recommenders.recurrent import Recurrent
from ml_worker.recommenders.recurrent_training import pace


class Candidate(NamedTuple):
    """A model to try. Of each family one is taken over into the blend: the first, which is tried even when time is short, or who clearly
    beats it.
    """

    family: str
    algorithm: str
    config: Mapping[str, Any]


# Steck 2019 and 2020: the ridge and what weighs users matter most; without dropout and user weights it is the plain EASE.
_EASE: Final = (
    Candidate("ease", "ease", {"ridge": 200.0}),
    Candidate("ease", "ease", {"ridge": 500.0}),
    Candidate("ease", "ease", {"ridge": 80.0, "dropout": 0.5}),
    Candidate("ease", "ease", {"ridge": 300.0, "dropout": 0.33, "user_weight": 0.4}),
    Candidate("ease", "ease", {"ridge": 500.0, "dropout": 0.0, "user_weight": 0.0}),
)
# Rendle et al. 2021: more factors with more regularization.
_ALS: Final = (
    Candidate("als", "als", {}),
    Candidate("als", "als", {"alpha": 8.0}),
    Candidate("als", "als", {"factors": 128, "regularization": 0.6}),
    Candidate("als", "als", {"regularization": 0.7}),
)
_NEIGHBOURS: Final = (Candidate("item_knn", "item_knn", {}),)
# Weaker alone than the others, but learnt by ranks instead of squares: it errs where they do not. One epoch takes a second a million likes.
_RANKED: Final = (Candidate("lightfm", "lightfm", {}),)
# Compares whole users where the others compare items; the sparser the data, the smaller the ridge that fits.
_USERS: Final = (
    Candidate("infinite_ae", "infinite_ae", {}),
    Candidate("infinite_ae", "infinite_ae", {"ridge": 0.17}),
    Candidate("infinite_ae", "infinite_ae", {"ridge": 0.085}),
)
_AROUND: Final = (
    Candidate("adjacent", "adjacent", {}),
    Candidate("adjacent", "adjacent", {"window": 12, "decay": 0.8}),
    Candidate("adjacent", "adjacent", {"window": 4, "ridge": 300.0}),
)
_WINDOWS: Final = (Candidate("windows", "adjacent", {"ridge": None, "window": 10, "decay": 0.8}),)
_SEQUENTIAL: Final = (
    Candidate("sequential", "sequential", {}),
    Candidate("sequential", "sequential", {"windows": [3, 60]}),
    Candidate("sequential", "sequential", {"windows": [60], "ridge": 100.0}),
)
_LATEST: Final = (
    Candidate("latest", "sequential", {"windows": [5], "decay": 0.5, "ridge": 30.0, "horizon": 4}),
    Candidate("transitions", "adjacent", {"ridge": None, "window": 10, "decay": 1.0, "recent": 10, "fading": 1.0}),
    Candidate("around", "adjacent", {"ridge": 50.0, "recent": 20, "fading": 0.8}),
    Candidate("last", "adjacent", {"ridge": None, "window": 3, "decay": 1.0, "recent": 2, "fading": 1.0, "shrink": 2.0}),
)
# What errs unlike the linear ones, and takes all the time that it gets: it comes last.
_RECURRENT: Final = (Candidate("recurrent", "recurrent", {}),)
_POPULAR: Final = (
    Candidate("popular", "popular", {"recent_share": 0.1}),
    Candidate("popular", "popular", {"recent_share": 0.02}),
    Candidate("popular", "popular", {}),
)

CANDIDATES: Final[Mapping[Task, tuple[Candidate, ...]]] = {
    "random": (
        *_EASE[:1],
        *_ALS[:1],
        *_USERS[:1],
        *_AROUND[:1],
        *_POPULAR[2:],
        *_NEIGHBOURS,
        *_WINDOWS,
        *_EASE[1:2],
        *_ALS[1:3],
        *_USERS[1:],
        *_RANKED,
        *_EASE[2:],
        *_ALS[3:],
        *_AROUND[1:],
    ),
    "next": (*_SEQUENTIAL[:1], *_LATEST, *_EASE[:1], *_POPULAR, *_ALS[:1], *_SEQUENTIAL[1:], *_WINDOWS, *_EASE[1:2], *_RECURRENT),
    "future": (
        *_EASE[:1],
        *_POPULAR,
        *_SEQUENTIAL[:1],
        *_ALS[:1],
        *_LATEST[1:3],
        *_AROUND[:1],
        *_EASE[1:2],
        *_SEQUENTIAL[1:2],
        *_NEIGHBOURS,
    ),
}
"""In the order in which they are tried."""

# A linear model with 200 weights a row is about 1 % worse than one with thousands; those of a large catalogue would fill the memory.
_KEPT_IN_ALL: Final = 6_000_000
# Solving takes the cube of the items that take part; those with fewer likes have little to say, and ALS speaks of them too.
_LIKES, _FEWEST_ITEMS, _MOST_ITEMS = 5, 4_000, 10_000
_LINEAR: Final = frozenset({"ease", "adjacent", "sequential"})


# More lessons bring less than their time is worth.
_MOST_LESSONS: Final = 20_000_000


def sized(candidate: Candidate, likes: NDArray[np.integer], seconds: float) -> Candidate:
    """The candidate with as many weights, items and lessons as a catalogue with these likes [items] and the time left make worth it."""
    if candidate.algorithm == "recurrent":
        config = Recurrent.Config.model_validate(dict(candidate.config))
        liked = np.sort(likes[likes > 0])[::-1][: config.dense_items]
        if not len(liked):
            return candidate  # training says what is lacking
        most = min(_MOST_LESSONS, config.most_epochs * int(liked.sum()))
        lessons = int(np.clip(pace(config, liked) * seconds, 1, most))
        return candidate._replace(config={**candidate.config, "lessons": lessons})
    if candidate.algorithm not in _LINEAR:
        return candidate
    dense = min(_MOST_ITEMS, max(_FEWEST_ITEMS, int(np.count_nonzero(likes >= _LIKES))))
    kept = min(2000, max(200, _KEPT_IN_ALL // max(1, min(dense, len(likes)))))
    return candidate._replace(config={"kept": kept, "dense_items": dense, **candidate.config})
