"""The table of contents: every algorithm by name, and how a saved model finds its own."""

from collections.abc import Mapping
from typing import Final

from ml_worker.recommenders.als import Als
from ml_worker.recommenders.base import Recommender
from ml_worker.recommenders.ease import Ease
from ml_worker.recommenders.item_knn import ItemKnn
from ml_worker.recommenders.popular import Popular
from ml_worker.recommenders.sequential import Sequential
from ml_worker.recommenders.state import unpack

RECOMMENDERS: Final[dict[str, type[Recommender]]] = {algorithm.name: algorithm for algorithm in (Popular, ItemKnn, Als, Ease, Sequential)}


class UnknownAlgorithm(Exception):
    """No algorithm has this name; the message lists those that exist."""


def find_recommender(name: str) -> type[Recommender]:
    """The algorithm of this name. Raises `UnknownAlgorithm`."""
    found = RECOMMENDERS.get(name)
    if found is None:
        raise UnknownAlgorithm(f"no algorithm is named {name!r}; known are {', '.join(sorted(RECOMMENDERS))}")
    return found


def load_recommender(files: Mapping[str, bytes]) -> Recommender:
    """The model that was saved, whatever its algorithm. Raises `UnknownAlgorithm`, `DamagedModel`, `NewerModelFormat`."""
    state = unpack(files)
    return find_recommender(state.algorithm).from_state(state)
