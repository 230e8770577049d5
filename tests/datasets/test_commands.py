"""`marquee import` and `marquee generate` as people run them: plain lines, exit codes, no trace."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def marquee(tmp_path, monkeypatch, capsys):
    """Runs the command line in a folder without a .env, with what a test gives as DATABASE_URL."""

    def run(*arguments, url=None):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["marquee", *map(str, arguments)])
        monkeypatch.delenv("DATABASE_URL", raising=False)
        if url:
            monkeypatch.setenv("DATABASE_URL", url)
        with pytest.raises(SystemExit) as ended:
            main()
        return SimpleNamespace(returncode=ended.value.code, **capsys.readouterr()._asdict())

    return run


def test_import_reports_and_loads(marquee, database_url, samples, tmp_path):
    files = {**samples.csv, "ratings.csv": samples.csv["ratings.csv"] + "1,1,9.5,9\n"}
    done = marquee("import", samples.zip(files), "--report", tmp_path / "report.jsonl", url=database_url)
    assert (done.returncode, done.err.splitlines()[-1]) == (0, "ratings.csv: 100% 6 rows")
    assert "1 bad rows were left out:\n  ratings.csv:7: column rating: '9.5' is not between 0.5 and 5\n" in done.out
    assert [line.split() for line in done.out.splitlines()[2:5]] == [
        ["users", "3", "3", "0", "0"],
        ["items", "3", "3", "0", "0"],
        ["interactions", "5", "5", "0", "0"],
    ]
    lines = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert [list(line) for line in lines] == [["bad_row"], ["import"]]
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM interactions").fetchone() == (5,)


def test_a_dry_run_needs_no_database(marquee, samples):
    done = marquee("import", "--dry-run", samples.folder(samples.csv))
    assert done.returncode == 0
    assert "Checked; nothing was written" in done.out


def test_generate_loads_the_same_data_for_the_same_seed(marquee, database_url):
    size = ("--users", 20, "--items", 50, "--interactions", 200, "--seed", 7, "--until", "2026-01-01")
    first = marquee("generate", *size, url=database_url)
    assert first.returncode == 0, first.err
    again = marquee("generate", *size, url=database_url)
    assert [line.split() for line in again.out.splitlines()[1:4]] == [
        ["users", "20", "0", "0", "20"],
        ["items", "50", "0", "0", "50"],
        ["interactions", "200", "0", "0", "200"],
    ]


NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.mark.parametrize(
    ("arguments", "url", "code", "sentence"),
    [
        (("import", "nothing.zip"), NOWHERE, 1, "the database (DATABASE_URL) cannot be reached: "),
        (("generate",), NOWHERE, 1, "the database (DATABASE_URL) cannot be reached: "),
        (("generate",), None, 2, "DATABASE_URL is not set; it is the address of the PostgreSQL server"),
        (("import", "nothing.zip"), None, 2, "DATABASE_URL is not set; it is the address of the PostgreSQL server"),
        (("import", "--dry-run", "nothing.zip"), None, 1, "nothing.zip does not exist"),
        (("import", "--dry-run", "--report", "no/such/folder.jsonl", "."), None, 2, "the report cannot be written to no/such/folder.jsonl"),
        (("generate", "--users", "0"), NOWHERE, 2, "users must be at least 1, not 0"),
        (("generate", "--items", "20"), NOWHERE, 2, "600 users and 20 items have room for at most 3000 interactions, not 60000"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(marquee, arguments, url, code, sentence):
    done = marquee(*arguments, url=url)
    assert (done.returncode, done.out) == (code, "")
    (line,) = done.err.splitlines()
    assert line.startswith(f"marquee: {sentence}")


@pytest.mark.parametrize("arguments", [("import",), ("import", "x", "--max-bad-rows", "-1"), ("generate", "--seed", "x")])
def test_wrong_usage_is_code_2(marquee, arguments):
    done = marquee(*arguments, url=NOWHERE)
    assert done.returncode == 2
    assert "Traceback" not in done.err


def test_a_database_without_tables_is_told_so(marquee, postgres):
    done = marquee("generate", url=postgres.url("postgres"))
    assert done.returncode == 1
    assert done.err.splitlines()[-1] == "marquee: the database has no tables of Marquee yet; `marquee db upgrade` makes them"


def test_the_process_ends_with_the_code_and_no_trace(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cli.main", "import", "--dry-run", "nothing.zip"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "marquee: nothing.zip does not exist\n")
