"""The secrets of a deployment: made once, each in a file that only those who need it can read."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cli.refusal import Refusal

Reader = Literal["processes", "app", "database", "broker", "store"]

READERS: Final[dict[Reader, int]] = {"processes": 10002, "app": 10003, "database": 10004, "broker": 10005, "store": 10006}
"""The group of each kind of reader; docker-compose.yaml puts the containers into these groups."""

FOLDER_MODE: Final = 0o755
FILE_MODE: Final = 0o440


@dataclass(frozen=True, slots=True)
class Hosts:
    """Where the other containers find the servers."""

    database: str = "db:5432/marquee"
    broker: str = "rabbitmq:5672/marquee"


def fill(folder: Path, *, hosts: Hosts, groups: Mapping[Reader, int] = READERS) -> list[str]:
    """Make what is missing in the folder and return its names; what is there stays as it is.

    The files that belong to one password are made together, before any server has seen it. A `Refusal` if the folder is not ours.
    """
    made = []
    for sources in (_database(hosts), _broker(hosts), _signing_key(), _administrator(), _store()):
        if all((folder / name).exists() for name in sources):
            continue
        try:
            if not _finish(folder, list(sources)):
                _write(folder, sources, groups)
        except OSError as error:
            raise Refusal(f"secrets cannot be written to {folder}: {error.strerror}") from error
        made += sorted(sources)
    return made


Sources = dict[str, tuple[Reader, str]]


def _database(hosts: Hosts) -> Sources:
    password = secrets.token_hex(24)
    return {
        "database_superuser_password": ("database", secrets.token_hex(24)),
        "database_password": ("database", password),
        "database_url": ("processes", f"postgresql://marquee:{password}@{hosts.database}"),
    }


def _broker(hosts: Hosts) -> Sources:
    password = secrets.token_hex(24)
    vhost = hosts.broker.rpartition("/")[2]
    return {
        "rabbitmq.conf": ("broker", f"default_vhost = {vhost}\ndefault_user = marquee\ndefault_pass = {password}\n"),
        "rabbitmq_url": ("processes", f"amqp://marquee:{password}@{hosts.broker}"),
    }


def _signing_key() -> Sources:
    return {"jwt_secret": ("app", secrets.token_hex(32))}


def _administrator() -> Sources:
    return {"admin_password": ("app", secrets.token_urlsafe(12))}


def _store() -> Sources:
    key, secret = secrets.token_hex(10), secrets.token_hex(24)
    identity = {"name": "marquee", "credentials": [{"accessKey": key, "secretKey": secret}], "actions": ["Admin"]}
    return {
        "s3.json": ("store", json.dumps({"identities": [identity]})),
        "aws_access_key_id": ("processes", key),
        "aws_secret_access_key": ("processes", secret),
    }


def _finish(folder: Path, names: list[str]) -> bool:
    """Go on where an earlier call was interrupted; whether there was anything to go on with."""
    present = [name for name in names if (folder / name).exists()]
    missing = [name for name in names if name not in present]
    if not present:
        return False
    if lost := [name for name in missing if not _unfinished(folder, name).exists()]:
        raise Refusal(f"{folder} has {', '.join(present)} but not {', '.join(lost)}: bring it back from your backup of the secrets")
    for name in missing:
        _unfinished(folder, name).rename(folder / name)
    return True


def _unfinished(folder: Path, name: str) -> Path:
    return folder / f".{name}.new"


def _write(folder: Path, sources: Sources, groups: Mapping[Reader, int]) -> None:
    folder.chmod(FOLDER_MODE)
    for name, (reader, content) in sources.items():
        unfinished = _unfinished(folder, name)
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chown(unfinished, -1, groups[reader])
        unfinished.chmod(FILE_MODE)
    for name in sources:  # all of them are whole now
        _unfinished(folder, name).rename(folder / name)
