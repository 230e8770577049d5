"""The short form of the census: every scenario at a small size, with a seed that a failure names."""

import os
import secrets

import pytest

from tests.faults.performance import perform
from tests.faults.plays import SHORT
from tests.faults.scenarios import SCENARIOS, Scenario

SEED = os.environ.get("SEED") or secrets.token_hex(4)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.slug)
def test_nothing_is_lost_or_applied_twice(scenario: Scenario, killable_postgres, request, tmp_path):
    rabbitmq = request.getfixturevalue("rabbitmq") if scenario.bell == "broker" else None
    record = perform(scenario, SHORT, folder=tmp_path, postgres=killable_postgres, rabbitmq=rabbitmq, seed=SEED)
    print(record.line())  # noqa: T201 (shown by pytest -s and when it fails)
    assert record.is_as_it_must, f"SEED={SEED}\n{record.document()}"
