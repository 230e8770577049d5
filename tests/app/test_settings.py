"""Which settings the app refuses, and how it says so."""

import secrets

import pytest
from pydantic import ValidationError

from app.settings import AppSettings
from core.settings import complaints

GOOD = {"database_url": "postgresql://localhost/marquee", "jwt_secret": secrets.token_hex(32)}


def refused(**changes):
    with pytest.raises(ValidationError) as error:
        AppSettings(_env_file=None, **{**GOOD, **changes})
    return complaints(error.value)


def test_defaults_are_those_of_one_machine():
    settings = AppSettings(_env_file=None, **GOOD)
    assert (settings.api_host, settings.api_port, settings.access_token_minutes, settings.refresh_token_days) == ("127.0.0.1", 8080, 15, 30)
    assert settings.admin_email is None


def test_settings_come_from_the_environment_and_an_empty_one_is_not_set(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", GOOD["database_url"])
    monkeypatch.setenv("JWT_SECRET", "")
    monkeypatch.setenv("ADMIN_EMAIL", "")
    with pytest.raises(ValidationError) as error:
        AppSettings(_env_file=None)
    assert complaints(error.value) == ["JWT_SECRET is not set."]


@pytest.mark.parametrize("secret", ["x" * 31, "a1" * 40, "change-me-change-me-change-me-change-me-123", "PlaceHolder" + "0123456789" * 4])
def test_weak_secrets_are_refused_and_not_repeated(secret):
    (sentence,) = refused(jwt_secret=secret)
    assert sentence.startswith("JWT_SECRET is ")
    assert "openssl rand -hex 32" in sentence
    assert secret not in sentence


@pytest.mark.parametrize(
    ("changes", "beginning"),
    [
        ({"api_port": "http"}, "API_PORT: input should be a valid integer"),
        ({"api_port": 70_000}, "API_PORT: input should be less than or equal to 65535"),
        ({"database_url": "mysql://x"}, "DATABASE_URL must be of the form postgresql:"),
        ({"trusted_proxies": "10.0.0.1, nginx"}, "TRUSTED_PROXIES holds something that is neither an address nor a network: 'nginx'"),
        ({"log_level": "loud"}, "LOG_LEVEL: input should be 'debug'"),
        ({"admin_email": "admin@marquee.local"}, "ADMIN_EMAIL and ADMIN_PASSWORD are set together or not at all."),
        ({"admin_password": "long enough"}, "ADMIN_EMAIL and ADMIN_PASSWORD are set together or not at all."),
        ({"admin_email": "nobody", "admin_password": "long enough"}, "ADMIN_EMAIL is not an e-mail address"),
        ({"admin_email": "a@b.local", "admin_password": "short"}, "ADMIN_PASSWORD: value should have at least 8"),
    ],
)
def test_each_wrong_setting_has_its_sentence(changes, beginning):
    sentences = refused(**changes)
    assert len(sentences) == 1
    assert sentences[0].startswith(beginning)
    assert sentences[0].endswith(".")


def test_all_wrong_settings_are_told_at_once():
    assert len(refused(api_port=0, jwt_secret="short", access_token_minutes=0)) == 3
