"""The table of contents: every algorithm by name, and how a saved model finds its own."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from pydantic import ValidationError

from ml_worker.recommenders.adjacent import Adjacent
from ml_worker.recommenders.als import Als
from ml_worker.recommenders.base import Recommender
from ml_worker.recommenders.blend import Blend
from ml_worker.recommenders.ease import Ease
from ml_worker.recommenders.infinite_ae import InfiniteAe
from ml_worker.recommenders.item_knn import ItemKnn
from ml_worker.recommenders.lightfm import LightFm
from ml_worker.recommenders.plugins import Plugins, find_plugins
from ml_worker.recommenders.popular import Popular
from ml_worker.recommenders.recurrent import Recurrent
from ml_worker.recommenders.rerank import Rerank
from ml_worker.recommenders.sequential import Sequential
from ml_worker.recommenders.state import Files, unpack

RECOMMENDERS: Final[dict[str, type[Recommender]]] = {
    algorithm.name: algorithm
    for algorithm in (Popular, ItemKnn, Als, LightFm, Ease, Sequential, Adjacent, InfiniteAe, Recurrent, Blend, Rerank)
}


class InvalidConfig(Exception):
    """A parameter that an algorithm does not have or take; the message says which, and what there is."""


class UnknownAlgorithm(Exception):
    """No algorithm has this name; the message lists those that exist."""


@cache
def plugins() -> Plugins:
    """The algorithms of other packages, loaded at the first call; what is installed later needs a new process."""
    return find_plugins(RECOMMENDERS.keys())


def find_recommender(name: str) -> type[Recommender]:
    """The algorithm of this name, Marquee's own or of another package. Raises `UnknownAlgorithm`."""
    found = RECOMMENDERS.get(name) or plugins().usable.get(name)
    if found is None:
        known = ", ".join(sorted({*RECOMMENDERS, *plugins().usable}))
        raise UnknownAlgorithm(plugins().broken.get(name, f"no algorithm is named {name!r}; known are {known}"))
    return found


def load_recommender(files: Files) -> Recommender:
    """The model that was saved, whatever its algorithm. Raises `UnknownAlgorithm`, `DamagedModel`, `NewerModelFormat`."""
    state = unpack(files)
    return find_recommender(state.algorithm).from_state(state)


def untrained(name: str, values: Mapping[str, Any]) -> Recommender:
    """A recommender with these parameters beside its presets. Raises `UnknownAlgorithm` and `InvalidConfig`."""
    algorithm = find_recommender(name)
    try:
        return algorithm(algorithm.Config.model_validate(dict(values)))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join((name, *(str(part) for part in first["loc"])))
        known = ", ".join(algorithm.Config.model_fields) or "none"
        raise InvalidConfig(f"{place}: {first['msg']}; the parameters of {name} are: {known}") from error
