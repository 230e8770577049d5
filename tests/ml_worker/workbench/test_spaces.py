"""What is drawn for tuning is always a configuration that the algorithm accepts."""

from typing import Literal

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field

from ml_worker.recommenders.registry import RECOMMENDERS
from ml_worker.workbench.spaces import space


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")

    factors: int = Field(default=64, ge=10, le=1024)
    ridge: float = Field(default=200.0, gt=0, le=1e6)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    loss: Literal["warp", "bpr"] = "warp"
    is_deep: bool = False
    seed: int = Field(default=0, ge=0)
    zero: float = 0.0
    windows: tuple[int, ...] = (60,)


def drawn(count: int) -> dict[str, list]:
    random, draws = np.random.default_rng(1), space(Config)
    return {name: [draw(random) for _ in range(count)] for name, draw in draws.items()}


def test_numbers_choices_and_switches_are_drawn_and_nothing_else():
    values = drawn(300)
    assert values.keys() == {"factors", "ridge", "dropout", "loss", "is_deep"}
    assert set(values["loss"]) == {"warp", "bpr"}
    assert set(values["is_deep"]) == {True, False}
    assert all(isinstance(value, int) for value in values["factors"])
    assert 10 <= min(values["factors"]) < 20
    assert 400 < max(values["factors"]) <= 512
    assert 25 <= min(values["ridge"]) < 50
    assert 0 <= min(values["dropout"]) < 0.1
    assert 0.9 < max(values["dropout"]) < 1


@pytest.mark.parametrize("name", sorted(RECOMMENDERS))
def test_every_algorithm_accepts_what_is_drawn_for_it(name):
    config, random = RECOMMENDERS[name].Config, np.random.default_rng(2)
    draws = space(config)
    for _ in range(50):
        config.model_validate({field: draw(random) for field, draw in draws.items()})
