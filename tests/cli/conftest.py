"""Runs the command line in the test's process."""

import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from cli.main import main


@pytest.fixture
def run_marquee(tmp_path, monkeypatch, capsys) -> Callable[..., SimpleNamespace]:
    """Runs `marquee …` in an empty folder with these settings; returns its code and what it told."""

    def run(*arguments: object, **environment: str) -> SimpleNamespace:
        monkeypatch.chdir(tmp_path)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["marquee", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return SimpleNamespace(code=code, out=told.out, err=told.err)

    return run
