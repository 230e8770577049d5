"""Which models are compared, by name and with which parameters."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ml_worker.recommenders.base import Recommender
from ml_worker.recommenders.registry import InvalidConfig, untrained

DEFAULT: Final = "default"
"""Not an algorithm, but what is chosen for the data."""
BASELINES: Final = ("popular", "item_knn")
"""Always in the table: a model that does not beat them is not worth its training."""
BEST_PART: Final = "best part"
"""Not an algorithm, but the part of `default` that was best alone where it was chosen."""


class InvalidContender(Exception):
    """A model or parameter that does not exist; the message says what does."""


def named(names: str) -> list[str]:
    """The model names of a list with commas, each once, the baselines after them."""
    asked = [name.strip() for name in names.split(",") if name.strip()]
    if not asked:
        raise InvalidContender("no model is named; for instance: --models als,ease")
    return list(dict.fromkeys([*asked, *BASELINES]))


def best_alone(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was best alone of what stands for its family, from the report on the choice; popularity where nothing could be tried."""
    parts = [candidate for candidate in choice["candidates"] if candidate["is_part"]]
    return max(parts, key=lambda candidate: candidate["ndcg@10"], default={"algorithm": "popular", "parameters": {}})


def parameters(assignments: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`als.factors=128` as {"als": {"factors": 128}}. Raises `InvalidContender`."""
    made: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        name, dot, field = path.partition(".")
        if not (equals and dot and name and field):
            raise InvalidContender(f"{assignment!r} sets nothing; a parameter is set as in --set als.factors=128")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        made.setdefault(name, {})[field] = value
    return made


def contender(name: str, values: Mapping[str, Any]) -> Recommender:
    """An untrained model with these parameters beside its presets. Raises `UnknownAlgorithm` and `InvalidContender`."""
    try:
        return untrained(name, values)
    except InvalidConfig as error:
        raise InvalidContender(str(error)) from error
