"""The embedded server starts from nothing, keeps its data, and leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cli.embedded_postgres import BINARIES, EmbeddedPostgres, copy_package, installed_package

OWNER = """
import sys, time
from pathlib import Path
from cli.embedded_postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.ensure_database("kept"), flush=True)
time.sleep(600)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="marquee-pg-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def server_pid(home: Path) -> int:
    return int((home / "postgres" / "postmaster.pid").read_text().split()[0])


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.05)


def test_it_keeps_its_data_from_one_start_to_the_next(home):
    with EmbeddedPostgres(home) as server, psycopg.connect(server.ensure_database("kept"), autocommit=True) as connection:
        connection.execute("CREATE TABLE told AS SELECT 42 AS answer")
    with EmbeddedPostgres(home) as server, psycopg.connect(server.ensure_database("kept")) as connection:
        assert connection.execute("SELECT answer FROM told").fetchone() == (42,)
        pid = server_pid(home)
    wait_until_gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent ended")
def test_a_killed_owner_takes_its_server_with_it_and_the_next_one_goes_on(home):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(home)], stdout=subprocess.PIPE, text=True)
    url = owner.stdout.readline().strip()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE told AS SELECT 42 AS answer")
    pid = server_pid(home)
    owner.kill()
    owner.communicate()
    wait_until_gone(pid)
    with EmbeddedPostgres(home) as server, psycopg.connect(server.url("kept")) as connection:
        assert connection.execute("SELECT answer FROM told").fetchone() == (42,)


def test_a_server_that_was_left_running_is_ended_by_the_next_owner(home):
    """What happens where the kernel tells nobody: the left server is found by its data directory."""
    first = EmbeddedPostgres(home)
    first.start()
    left = server_pid(home)
    with EmbeddedPostgres(home) as second:
        assert server_pid(home) != left
        with psycopg.connect(second.url("postgres")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    first.stop()


def test_a_stale_pid_file_of_a_reused_pid_is_no_obstacle(home):
    with EmbeddedPostgres(home):
        text = (home / "postgres" / "postmaster.pid").read_text()
    sleeper = subprocess.Popen(["sleep", "600"])
    try:
        pid_file = home / "postgres" / "postmaster.pid"
        pid_file.write_text("\n".join([str(sleeper.pid), *text.splitlines()[1:]]) + "\n")
        with EmbeddedPostgres(home) as server, psycopg.connect(server.url("postgres")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert sleeper.poll() is None, "a process that is not ours was ended"
    finally:
        sleeper.send_signal(signal.SIGKILL)
        sleeper.wait()


def test_an_interrupted_first_start_leaves_nothing_half_made(home):
    (home / "postgres.new").mkdir()
    (home / "postgres.new" / "PG_VERSION").write_text("18")
    with EmbeddedPostgres(home) as server, psycopg.connect(server.url("postgres")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL another account")
def test_root_can_start_it_from_a_folder_that_nobody_else_may_enter():
    with tempfile.TemporaryDirectory(prefix="marquee-private-") as folder:  # mode 0700
        with EmbeddedPostgres(Path(folder)) as server, psycopg.connect(server.url("postgres")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert not server.home.is_relative_to(folder)
            assert EmbeddedPostgres(Path(folder)).home == server.home, "the next start must find the data again"
        shutil.rmtree(server.home)


def test_a_long_path_is_no_obstacle(home):
    deep = home / ("very-" * 30) / "deep"
    with EmbeddedPostgres(deep) as server, psycopg.connect(server.url("postgres")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_copy_of_the_server_runs_from_anywhere(tmp_path):
    """What root uses where the account it lends cannot enter the environment."""
    copied = copy_package(installed_package(), tmp_path / "elsewhere")
    told = subprocess.run([copied / BINARIES / "postgres", "--version"], capture_output=True, text=True, check=True)
    assert "PostgreSQL" in told.stdout
    assert copy_package(installed_package(), tmp_path / "elsewhere") == copied
