"""Failpoints are places in the product that only the fault suite visits."""

import re
from pathlib import Path

import pytest

from core import failpoints

ROOT = Path(__file__).parents[2]


def test_a_visitor_is_told_of_every_point_and_may_fail_there():
    seen: list[str] = []

    def visit(point: str) -> None:
        seen.append(point)
        if point == "computed":
            raise ConnectionError

    failpoints.visitors.append(visit)
    try:
        failpoints.reach("claimed")
        with pytest.raises(ConnectionError):
            failpoints.reach("computed")
    finally:
        failpoints.visitors.remove(visit)
    failpoints.reach("committed")
    assert seen == ["claimed", "computed"]


def test_nothing_in_the_product_visits_them():
    sources = [
        path for package in ("core", "app", "ml_worker", "cli", "datasets", "streamlit_ui") for path in (ROOT / package).rglob("*.py")
    ]
    visiting = [path.name for path in sources if re.search(r"failpoints\.visitors|import visitors", path.read_text())]
    assert visiting == []
