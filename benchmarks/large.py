"""A refresh with ALS on 100,000 users × 50,000 items: against the bare product of its factors, and libraries called user by user."""

from typing import Final

from benchmarks import peers
from benchmarks.drawn_interactions import draw
from benchmarks.frame import Case
from benchmarks.product import LARGE
from benchmarks.refreshing import Ground, prepared
from ml_worker.recommenders.als import Als
from ml_worker.recommenders.interactions import Interactions

_SHAPE: Final = f"{LARGE['users']:,} users × {LARGE['items']:,} items, 64 factors"


def _data(quick: bool) -> Interactions:
    return draw(**({"users": 2000, "items": 20_000, "events": 100_000} if quick else LARGE))


_GROUND: Final = Ground(_data, lambda: Als(Als.Config(iterations=2)))

CASES = [
    Case(
        "large.refresh_limit",
        "lists/s",
        f"read, solved, ranked, explained and stored ÷ bare product of factors and selection of the best; {_SHAPE}",
        prepared(_GROUND, peers.bare_factors),
    ),
    Case(
        "large.refresh_implicit",
        "lists/s",
        f"a refresh ÷ implicit's recommend for each user: same factors, live histories; {_SHAPE}",
        prepared(_GROUND, peers.implicit_live),
    ),
    Case(
        "large.refresh_trained",
        "lists/s",
        f"a refresh ÷ the same with users as they were trained: no later event counts; {_SHAPE}",
        prepared(_GROUND, peers.implicit_trained),
    ),
    Case("large.refresh_lightfm", "lists/s", f"a refresh ÷ LightFM's predict for each user; {_SHAPE}", prepared(_GROUND, peers.lightfm)),
]
