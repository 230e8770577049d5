"""The door of the compose file lets through what the API takes: large models, and events as they come."""

import re
import secrets
from pathlib import Path

from app.api.router import IMPORT_PATH
from app.main import create_app
from app.settings import AppSettings

CONF = (Path(__file__).parents[2] / "nginx" / "nginx.conf").read_text()
LOCATIONS = re.findall(r"^ {8}location ~ (\S+) \{\n(.*?)^ {8}\}", CONF, re.MULTILINE | re.DOTALL)


def options(path: str) -> str:
    """Of the first location by pattern that a path belongs to, as nginx chooses."""
    return next((inside for pattern, inside in LOCATIONS if re.search(pattern, path)), "")


def test_models_of_any_size_pass_and_are_not_kept():
    for path in (IMPORT_PATH, "/api/v1/models/7/bundle"):
        assert "client_max_body_size 0;" in options(path), path
        assert "proxy_buffering off;" in options(path), path
    assert options("/api/v1/models/7") == ""


def test_events_pass_as_they_come(tmp_path):
    settings = AppSettings(_env_file=None, database_url="postgresql://x@y/z", artifacts_url=tmp_path, jwt_secret=secrets.token_hex(32))
    paths = {path for path in create_app(settings).openapi()["paths"] if path.endswith("/events")}
    assert len(paths) == 2
    for path in paths:
        assert "proxy_buffering off;" in options(re.sub(r"\{\w+\}", "42", path)), path
