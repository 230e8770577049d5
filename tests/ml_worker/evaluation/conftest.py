"""Interactions written down by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from ml_worker.recommenders.interactions import Interactions

Make = Callable[..., Interactions]


@pytest.fixture(scope="session")
def make() -> Make:
    """Interactions of users u0, u1, … and items i0, i1, … from (user, item, time) or (user, item, time, weight), in this order."""

    def make(events, *, users: int, items: int, item_features=None) -> Interactions:
        rows = [(*event, 1.0)[:4] for event in events]
        columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
        return Interactions(
            user_ids=tuple(f"u{n}" for n in range(users)),
            item_ids=tuple(f"i{n}" for n in range(items)),
            users=np.array(columns[0], dtype=np.int32),
            items=np.array(columns[1], dtype=np.int32),
            weights=np.array(columns[3], dtype=np.float32),
            times=np.array(columns[2], dtype=np.int64),
            item_features=item_features,
        )

    return make


def held_out(truth) -> dict[int, list[int]]:
    """The items of each question by the row of its user, for users asked once."""
    found = {}
    for question, row in enumerate(truth.rows.tolist()):
        assert row not in found
        found[row] = truth.items[truth.offsets[question] : truth.offsets[question + 1]].tolist()
    return found


def events(interactions) -> list[tuple[int, int]]:
    return list(zip(interactions.users.tolist(), interactions.items.tolist(), strict=True))
