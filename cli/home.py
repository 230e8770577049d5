"""The home of a local stack: one folder, one owner at a time, secrets made once and kept."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from cli.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the first start generates."""

    jwt_secret: str
    demo_password: str


class Home:
    """A folder that belongs to one running stack at a time; hold it while it is used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.logs = self.folder / "logs"
        self.artifacts = self.folder / "artifacts"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Own the folder for a block, or until this process ends; a `Refusal` with exit code 2 if another process has it."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                message = (
                    f"Marquee is already running here (process {file.read()}, folder {self.folder}); stop it first or set MARQUEE_HOME"
                )
                raise Refusal(message, exit_code=2) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def secrets(self) -> Secrets:
        """The stack's secrets, generated at the first call and readable by the owner only."""
        path = self.folder / "secrets.json"
        if not path.exists():
            made = Secrets(jwt_secret=secrets.token_urlsafe(48), demo_password=secrets.token_urlsafe(9))
            unfinished = path.with_suffix(".new")
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(asdict(made), file)
            unfinished.rename(path)
        return Secrets(**json.loads(path.read_text()))
