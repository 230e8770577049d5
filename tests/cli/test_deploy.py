"""The one-shot steps of a deployment: secrets, seed and ready."""

import shutil
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from typing import ClassVar

import pytest

from cli import deploy
from cli.refusal import Refusal
from tests.rigs.web import serving

DATABASE_SETTINGS = ("SEED", "DATA", "DATA_FILE_ID", "DRIVE_ADDRESS")


@pytest.fixture
def seed(database_url, monkeypatch, tmp_path, capsys):
    """Run `marquee deploy seed` with these settings; what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)

    def run(**settings):
        for name in DATABASE_SETTINGS:
            monkeypatch.delenv(name, raising=False)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        deploy.seed_command()
        return capsys.readouterr().out.splitlines()

    return run


def count(connection, table):
    return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "movies.csv").write_text("movieId,title,genres\n1,Alien (1979),Horror\n2,Big (1988),Comedy\n")
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n7,1,4.0,964982703\n7,2,5.0,964982704\n8,2,3.0,964982705\n")
    return folder


def test_an_empty_database_is_filled_once_and_the_first_training_asked_for_once(seed, data, connection):
    told = seed(DATA=str(data))
    assert told[-1].startswith("first training asked for (task ")
    assert (count(connection, "items"), count(connection, "interactions")) == (2, 3)
    assert seed(DATA=str(data)) == ["there is data already"]
    assert connection.execute("SELECT kind, state FROM tasks").fetchall() == [("train", "queued")]


def test_demo_data_unless_told_otherwise(seed, connection):
    assert seed(SEED="none") == ["left empty, as SEED=none says"]
    assert count(connection, "tasks") == 0
    seed()
    assert count(connection, "items") > 500
    assert count(connection, "tasks") == 1


def test_unusable_data_is_refused_in_a_sentence_and_nothing_is_asked_for(seed, tmp_path, connection):
    with pytest.raises(Refusal, match="does not exist"):
        seed(DATA=str(tmp_path / "nothing.zip"))
    assert count(connection, "tasks") == 0


def test_data_comes_from_google_drive_by_its_id(seed, data, tmp_path, connection):
    (tmp_path / "web").mkdir()
    shutil.make_archive(str(tmp_path / "web" / "1AbCdEfGhIj"), "zip", data.parent, data.name)
    with serving(SimpleHTTPRequestHandler, directory=tmp_path / "web") as url:
        seed(DATA_FILE_ID="1AbCdEfGhIj", DRIVE_ADDRESS=f"{url}/{{}}.zip")
        assert count(connection, "items") == 2


class Answering(BaseHTTPRequestHandler):
    statuses: ClassVar = {"/readyz": [503, 200], "/_stcore/health": [200]}

    def do_GET(self):
        left = self.statuses[self.path]
        self.send_response(left.pop(0) if len(left) > 1 else left[0])
        self.end_headers()


@pytest.fixture
def url():
    with serving(Answering) as url:
        yield url


def test_ready_waits_and_then_tells_addresses_and_the_sign_in(url, monkeypatch, tmp_path, capsys):
    (tmp_path / "password").write_text("fresh-and-generated")
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "API_URL": url,
        "UI_URL": url,
        "ADMIN_EMAIL": "admin@example.com",
        "ADMIN_PASSWORD_FILE": str(tmp_path / "password"),
        "PUBLIC_UI_URL": "https://films.example.org",
    }.items():
        monkeypatch.setenv(name, value)
    deploy.ready_command()
    told = capsys.readouterr().out
    assert "https://films.example.org\n" in told
    assert "http://localhost:8080/docs" in told
    assert "admin@example.com  password fresh-and-generated" in told


def test_secrets_need_a_folder(tmp_path):
    with pytest.raises(Refusal, match="is not a folder"):
        deploy.secrets_command(tmp_path / "nowhere")
