"""A deployment of docker-compose.yaml for tests: a project, ports, names and a network of its own, gone with all its data at the end."""

import json
import os
import re
import secrets
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.e2e.conftest import free_port

ROOT = Path(__file__).parents[2]
COMMAND_SECONDS = 900
PROFILES = ("s3", "observability", "train", "test")


def why_not() -> str | None:
    """Why Docker cannot be used here, or None if it can."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    for command in (["docker", "compose", "version"], ["docker", "info", "--format", "{{.ServerVersion}}"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"`{' '.join(command)}` does not work: {done.stderr.strip()}"
    return None


@dataclass
class Deployment:
    """One project of Compose, described by its environment; nothing of it is shared with another on the same machine."""

    name: str = field(default_factory=lambda: f"marquee-e2e-{secrets.token_hex(3)}")
    api_port: int = field(default_factory=free_port)
    ui_port: int = field(default_factory=free_port)
    prefix: str = field(default_factory=lambda: f"10.{200 + secrets.randbelow(50)}.{secrets.randbelow(250)}")
    started_at: float = 0.0

    @property
    def app(self) -> str:
        """The name of the app's container."""
        return f"{self.name}-api"

    @property
    def api_url(self) -> str:
        """The API as clients reach it."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def ui_url(self) -> str:
        """The interface as browsers reach it."""
        return f"http://127.0.0.1:{self.ui_port}"

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`docker compose …` in this project."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "COMPOSE_PROJECT_NAME": self.name,
            "MARQUEE_TAG": "e2e",
            "APP_CONTAINER": self.app,
            "API_PORT": str(self.api_port),
            "UI_PORT": str(self.ui_port),
            "EDGE_PREFIX": self.prefix,
            **{name: value for name, value in os.environ.items() if name.startswith("DOCKER_")},
        }
        command = ["docker", "compose", "--ansi", "never", "--progress", "plain", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return done

    def up(self, *arguments: str) -> None:
        """Start, and wait until everything is well."""
        self.started_at = time.monotonic()
        self.compose("up", "-d", "--wait", *arguments)

    def down(self, *arguments: str) -> None:
        """Stop and remove the containers; with `--volumes` the data too."""
        self.compose("down", "--timeout", "60", *arguments)

    def logs(self, *services: str) -> str:
        """What these services have logged."""
        return "".join(_both_streams("logs", container["Id"]) for container in self.containers(*services, everything=True))

    def containers(self, *services: str, everything: bool = False) -> list[dict[str, Any]]:
        """What `docker inspect` says of each container."""
        ids = self.compose("ps", "-q", *(["-a"] if everything else []), *services).stdout.split()
        return list(json.loads(docker("inspect", *ids)))

    def crash(self, container_id: str) -> None:
        """End a container's own process at once, as a lack of memory would; the restart policy brings it back."""
        docker("exec", container_id, "bash", "-c", "kill -9 $(cat /proc/1/task/1/children)")

    def sql(self, query: str, *, database: str = "marquee") -> str:
        """The answer of the database, one row a line."""
        return self.compose("exec", "-T", "db", "psql", "-qAtX", "-d", database, "-c", query).stdout.strip()

    def admin_password(self) -> str:
        """What `ready` printed."""
        found = re.search(r"admin@example\.com  password (\S+)", self.logs("ready"))
        assert found, self.logs("ready")
        return found[1]


def docker(*arguments: str) -> str:
    """The output of a docker command that works."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def _both_streams(*arguments: str) -> str:
    merged = subprocess.run(["docker", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=True)
    return merged.stdout


def wait_for(what: Any, *, seconds: float = 180.0) -> Any:
    """What `what()` returns as soon as it is true; connections that fail meanwhile are part of the waiting."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := what():
                return found
        except (httpx2.TransportError, json.JSONDecodeError):
            pass
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.3)
