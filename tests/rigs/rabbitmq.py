"""A private RabbitMQ node for tests and benchmarks: its own port, data and cookie, gone when its owner is gone."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pika
from pika.exceptions import AMQPError

from cli import child
from tests.rigs.ports import free_port

SERVERS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/homebrew/sbin/rabbitmq-server", "/usr/local/sbin/rabbitmq-server")
START_TIMEOUT_SECONDS = 60.0
CONF = """\
listeners.tcp.local = 127.0.0.1:{port}
loopback_users = none
log.console = false
log.file.level = warning
vm_memory_high_watermark.relative = 0.6
disk_free_limit.absolute = 50MB
"""


def find_server() -> str | None:
    """The program that starts a node, if RabbitMQ is installed. Debian's own wrapper changes accounts and is passed by."""
    return next((path for path in SERVERS if Path(path).exists()), None) or shutil.which("rabbitmq-server")


class PrivateRabbitMQ:
    """One node over one folder; a context manager."""

    def __init__(self, folder: Path) -> None:
        server = find_server()
        if server is None:
            raise FileNotFoundError("rabbitmq-server is not installed")
        self._server = server
        self._folder = folder
        self._node = f"marquee-{secrets.token_hex(4)}@localhost"
        self.port, self._distribution_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    def __enter__(self) -> "PrivateRabbitMQ":
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the node on what is in its folder, and wait until it serves."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "rabbitmq.conf").write_text(CONF.format(port=self.port))
        (self._folder / "enabled_plugins").write_text("[].")
        with (self._folder / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                child.command([self._server], death_signal=signal.SIGKILL),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_ready()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Kill it and throw its data away."""
        self.kill()
        shutil.rmtree(self._folder / "data", ignore_errors=True)

    def freeze(self) -> None:
        """Stop it in its tracks: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen node go on."""
        self._signal(signal.SIGCONT)

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` says."""
        tool = str(Path(self._server).with_name("rabbitmqctl"))
        done = subprocess.run(
            [tool, "-q", "-n", self._node, *arguments], env=self._environment(), capture_output=True, text=True, check=True
        )
        return done.stdout

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": folder,  # the cookie
            "RUNNING_UNDER_SYSTEMD": "1",  # so that no shell stands between us and the node, which would survive us behind it
            "RABBITMQ_HOME": str(Path(self._server).parents[1]),
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/logs",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",  # two cores are shared with everything else
        }

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            try:
                pika.BlockingConnection(pika.URLParameters(self.url)).close()
                return
            except (AMQPError, OSError) as error:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = (self._folder / "output.log").read_text()
                    raise AssertionError(f"the private RabbitMQ node did not start ({error!r}):\n{log[-2000:]}") from error
                time.sleep(0.1)
