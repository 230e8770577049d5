"""Where settings come from: the environment, `.env`, and for secrets files."""

import pytest
from pydantic import ValidationError

from core.settings import CoreSettings, complaints

IN_FILE = "postgresql://in-file/marquee"
IN_ENVIRONMENT = "postgresql://in-environment/marquee"


@pytest.fixture
def secret(tmp_path, monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    path = tmp_path / "database_url"
    path.write_text(f"{IN_FILE}\n")
    monkeypatch.setenv("DATABASE_URL_FILE", str(path))
    return path


def database_url(**options):
    return CoreSettings(_env_file=None, **options).database_url.get_secret_value()


def refused():
    with pytest.raises(ValidationError) as error:
        database_url()
    return complaints(error.value)


def test_a_secret_is_read_from_its_file_without_the_line_end(secret):
    assert database_url() == IN_FILE


def test_what_is_given_directly_wins_and_an_empty_value_is_not_given(secret, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "")
    assert database_url() == IN_FILE
    monkeypatch.setenv("DATABASE_URL", IN_ENVIRONMENT)
    secret.unlink()
    assert database_url() == IN_ENVIRONMENT


def test_the_file_may_be_named_in_dot_env(secret, tmp_path, monkeypatch):
    monkeypatch.delenv("DATABASE_URL_FILE")
    (tmp_path / ".env").write_text(f"DATABASE_URL_FILE={secret}\n")
    assert CoreSettings(_env_file=tmp_path / ".env").database_url.get_secret_value() == IN_FILE


def test_settings_that_are_no_secret_have_no_file(secret, tmp_path, monkeypatch):
    monkeypatch.setenv("LOG_LEVEL_FILE", str(tmp_path / "nowhere"))
    assert CoreSettings(_env_file=None).log_level == "info"
    assert "log_level" not in CoreSettings.secret_names()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot be read: No such file or directory"), (b"\xff\xfe", "is not text in UTF-8"), (b"x" * 70_000, "has more than 64 KB")],
)
def test_a_file_that_holds_no_secret_is_named(secret, content, reason):
    secret.unlink()
    if content is not None:
        secret.write_bytes(content)
    assert refused() == [f"DATABASE_URL_FILE names {secret}, which {reason}."]


def test_an_empty_file_and_a_wrong_value_are_told_without_the_value(secret):
    secret.write_text("\n")
    assert refused() == ["DATABASE_URL is not set."]
    secret.write_text("mysql://root:hunter2@db/x")
    assert refused() == ["DATABASE_URL must be of the form postgresql://user:password@host:port/name."]
