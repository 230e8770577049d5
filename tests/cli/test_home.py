"""The home of a stack belongs to one owner at a time and keeps its secrets."""

import os
import stat

import pytest

from cli.home import Home
from cli.refusal import Refusal


def test_secrets_are_made_once_and_for_the_owner_only(tmp_path):
    home = Home(tmp_path)
    first = home.secrets()
    assert len(first.jwt_secret) >= 32
    assert Home(tmp_path).secrets() == first
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_every_home_has_its_own_secrets(tmp_path):
    homes = [Home(tmp_path / name) for name in ("a", "b")]
    with homes[0].held(), homes[1].held():
        assert homes[0].secrets() != homes[1].secrets()


def test_a_second_owner_is_refused_with_the_first_ones_pid(tmp_path):
    with (
        Home(tmp_path).held(),
        pytest.raises(Refusal, match=rf"already running here \(process {os.getpid()},") as refused,
        Home(tmp_path).held(),
    ):
        pass
    assert refused.value.exit_code == 2


def test_a_home_is_free_again_afterwards(tmp_path):
    for _ in range(2):
        with Home(tmp_path).held():
            pass
