"""The home of a local stack: one folder, one owner at a time, secrets made once and kept."""

import fcntl
import json
import os
import secrets
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from pathlib import Path

from cli.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the first start generates."""

    jwt_secret: str
    demo_password: str


class Home:
    """A folder that belongs to one running stack; `lock` it before use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.logs = self.folder / "logs"
        self.artifacts = self.folder / "artifacts"
        self._lock: TextIOWrapper | None = None

    def lock(self) -> None:
        """Claim the folder until this process ends, however it ends; a `Refusal` with exit code 2 if another one has it."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            owner = self._lock.read().strip() or "unknown"
            message = f"Marquee is already running here (process {owner}, folder {self.folder}); stop it first or set MARQUEE_HOME"
            raise Refusal(message, exit_code=2) from None
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

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
