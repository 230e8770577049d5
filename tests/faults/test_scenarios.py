"""The short form of the census: every scenario at a small size, with a seed that a failure names."""

import os
import secrets

import pytest

from tests.faults.performance import perform
from tests.faults.plays import SHORT
from tests.faults.scenarios import SCENARIOS, Scenario

ATTEMPTS = 10
"""At this size it happens that no fault strikes. That says nothing, and the scenario is played again; a wrong it never forgives."""

SEED = os.environ.get("SEED") or secrets.token_hex(4)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.slug)
def test_nothing_is_lost_or_applied_twice(scenario: Scenario, killable_postgres, request, tmp_path):
    rabbitmq = request.getfixturevalue("rabbitmq") if scenario.bell == "broker" else None
    for attempt in range(ATTEMPTS):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        record = perform(scenario, SHORT, folder=folder, postgres=killable_postgres, rabbitmq=rabbitmq, seed=f"{SEED} {attempt}")
        print(record.line())  # noqa: T201 (shown by pytest -s and when it fails)
        if not record.was_spared:
            break
    assert record.is_as_it_must, f"SEED={SEED}\n{record.document()}"
