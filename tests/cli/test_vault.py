"""The secrets of a deployment are made once, kept, and readable by those who need them."""

import json
import os
import stat

import pytest
from psycopg.conninfo import conninfo_to_dict

from app.settings import AppSettings
from cli import vault
from cli.refusal import Refusal

HOSTS = vault.Hosts()


@pytest.fixture
def groups():
    """Every reader is the group of these tests, for only a member may give a file to a group."""
    return dict.fromkeys(vault.READERS, os.getgid())


def fill(folder, groups):
    return vault.fill(folder, hosts=HOSTS, groups=groups)


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_first_call_makes_all_and_the_next_ones_keep_them(tmp_path, groups):
    made = fill(tmp_path, groups)
    first = contents(tmp_path)
    assert sorted(made) == sorted(first)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {vault.FILE_MODE}
    assert fill(tmp_path, groups) == []
    assert contents(tmp_path) == first


def test_no_two_deployments_share_a_secret(tmp_path, groups):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        fill(folder, groups)
    one, two = map(contents, folders)
    assert [name for name in one if one[name] == two[name]] == []


def test_the_servers_and_their_clients_are_told_the_same(tmp_path, groups):
    fill(tmp_path, groups)
    found = contents(tmp_path)
    url = conninfo_to_dict(found["database_url"])
    assert (url["user"], url["password"], url["dbname"]) == ("marquee", found["database_password"], "marquee")
    conf = dict(line.split(" = ") for line in found["rabbitmq.conf"].splitlines())
    assert found["rabbitmq_url"] == f"amqp://marquee:{conf['default_pass']}@rabbitmq:5672/{conf['default_vhost']}"
    (identity,) = json.loads(found["s3.json"])["identities"]
    assert identity["credentials"] == [{"accessKey": found["aws_access_key_id"], "secretKey": found["aws_secret_access_key"]}]


def test_the_app_takes_them(tmp_path, groups, monkeypatch):
    fill(tmp_path, groups)
    for name in AppSettings.secret_names():
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setenv(f"{name.upper()}_FILE", str(tmp_path / name))
    settings = AppSettings(_env_file=None, admin_email="admin@example.com")
    assert settings.admin_password is not None
    assert len(settings.jwt_secret.get_secret_value()) == 64


def test_what_was_interrupted_is_finished_with_the_same_values(tmp_path, groups):
    fill(tmp_path, groups)
    before = contents(tmp_path)
    (tmp_path / "database_url").rename(tmp_path / ".database_url.new")
    fill(tmp_path, groups)
    assert contents(tmp_path) == before


def test_the_key_that_signs_tokens_can_be_made_anew_alone(tmp_path, groups):
    fill(tmp_path, groups)
    before = contents(tmp_path)
    (tmp_path / "jwt_secret").unlink()
    assert fill(tmp_path, groups) == ["jwt_secret"]
    after = contents(tmp_path)
    assert [name for name in before if after[name] != before[name]] == ["jwt_secret"]


def test_half_of_a_pair_is_refused_because_the_server_knows_the_other_half(tmp_path, groups):
    fill(tmp_path, groups)
    (tmp_path / "rabbitmq_url").unlink()
    with pytest.raises(Refusal, match=r"has rabbitmq\.conf but not rabbitmq_url: bring it back from your backup"):
        fill(tmp_path, groups)
