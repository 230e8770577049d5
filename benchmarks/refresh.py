"""Lists a second of a refresh of all users of a catalogue of middle size: ALS, LightFM and EASE, each beside its like."""

from typing import Final

from benchmarks import peers
from benchmarks.frame import Case
from benchmarks.product import given_or_drawn
from benchmarks.refreshing import Ground, prepared
from ml_worker.recommenders.als import Als
from ml_worker.recommenders.ease import Ease
from ml_worker.recommenders.interactions import Interactions
from ml_worker.recommenders.lightfm import LightFm


def _data(quick: bool) -> Interactions:
    size = {"users": 1000, "items": 1000, "events": 60_000} if quick else {"users": 6040, "items": 3700, "events": 600_000}
    return given_or_drawn(**size)


_ALS: Final = Ground(_data, Als)
_LIGHTFM: Final = Ground(_data, lambda: LightFm(LightFm.Config(epochs=1)))
_EASE: Final = Ground(_data, Ease)
_REFRESH: Final = "read, ranked, explained and stored"

CASES = [
    Case(
        "refresh.als_limit",
        "lists/s",
        f"ALS {_REFRESH} ÷ bare product of factors and selection of the best",
        prepared(_ALS, peers.bare_factors),
    ),
    Case(
        "refresh.als_implicit",
        "lists/s",
        f"ALS {_REFRESH} ÷ implicit's recommend for each user: same factors, live histories",
        prepared(_ALS, peers.implicit_live),
    ),
    Case(
        "refresh.als_trained",
        "lists/s",
        f"ALS {_REFRESH} ÷ the same with users as they were trained: no later event counts",
        prepared(_ALS, peers.implicit_trained),
    ),
    Case(
        "refresh.als_lightfm",
        "lists/s",
        f"ALS {_REFRESH} ÷ LightFM's predict for each user: as many factors",
        prepared(_ALS, peers.lightfm),
    ),
    Case(
        "refresh.lightfm",
        "lists/s",
        f"LightFM {_REFRESH} ÷ LightFM's predict for each user: same vectors of items",
        prepared(_LIGHTFM, peers.lightfm),
    ),
    Case(
        "refresh.ease_limit",
        "lists/s",
        f"EASE {_REFRESH} ÷ bare product and selection of the best",
        prepared(_EASE, peers.bare_weights),
    ),
    Case(
        "refresh.ease_ranked",
        "lists/s",
        "EASE read, ranked and explained ÷ bare product and selection of the best",
        prepared(_EASE, peers.bare_weights, is_stored=False),
    ),
    Case(
        "refresh.ease_implicit",
        "lists/s",
        f"EASE {_REFRESH} ÷ implicit's recommend for each user: another model, for information",
        prepared(_EASE, peers.implicit_other),
    ),
    Case(
        "refresh.ease_lightfm",
        "lists/s",
        f"EASE {_REFRESH} ÷ LightFM's predict for each user: another model, for information",
        prepared(_EASE, peers.lightfm),
    ),
]
