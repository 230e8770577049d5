"""What can be tried about an algorithm, read from its configuration, so that algorithms of other packages can be tuned too."""

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

Draw = Callable[[np.random.Generator], Any]

# Chance and memory are not questions of quality.
NOT_TUNED: Final = frozenset({"seed", "kept", "dense_items", "landmarks", "most_users"})
SCALE: Final = 8.0
"""Without close limits a number is tried between an eighth of its preset and eight times it."""
CLOSE: Final = 5.0
EDGE: Final = 0.02


class _Limits(NamedTuple):
    low: float
    high: float


def space(config: type[BaseModel]) -> dict[str, Draw]:
    """By field, how a value is drawn: choices at random, numbers evenly within close limits and otherwise on a logarithmic scale.

    Fields of other kinds (lists of parts, for instance) keep their preset.
    """
    drawn = {name: _draw(field) for name, field in config.model_fields.items() if name not in NOT_TUNED}
    return {name: draw for name, draw in drawn.items() if draw is not None}


def _draw(field: FieldInfo) -> Draw | None:
    kind, preset = field.annotation, field.default
    options = (False, True) if kind is bool else get_args(kind) if get_origin(kind) is Literal else ()
    if options:
        return lambda random: options[int(random.integers(len(options)))]
    if kind not in (int, float) or not isinstance(preset, int | float):
        return None
    limits = _limits(field)
    if kind is float and limits.high - limits.low <= CLOSE:
        low, high = max(limits.low, preset - 1), min(limits.high, preset + 1)
        return lambda random: round(float(random.uniform(low, high)), 3)
    return _logarithmic(limits, preset, is_whole=kind is int) if preset > 0 else None


def _logarithmic(limits: "_Limits", preset: float, *, is_whole: bool) -> Draw:
    low, high = np.log(max(limits.low, preset / SCALE, 1e-9)), np.log(min(limits.high, preset * SCALE))
    if is_whole:
        return lambda random: round(float(np.exp(random.uniform(low, high))))
    return lambda random: float(f"{np.exp(random.uniform(low, high)):.3g}")


def _limits(field: FieldInfo) -> _Limits:
    low, high = -np.inf, np.inf
    for limit in field.metadata:
        if isinstance(limit, Ge):
            low = float(limit.ge)  # type: ignore[arg-type]
        elif isinstance(limit, Gt):
            low = float(limit.gt) + EDGE  # type: ignore[arg-type]
        elif isinstance(limit, Le):
            high = float(limit.le)  # type: ignore[arg-type]
        elif isinstance(limit, Lt):
            high = float(limit.lt) - EDGE  # type: ignore[arg-type]
    return _Limits(low, high)
