"""Runs a batch in a child process: a crash or a lack of memory is a reported reason, and heartbeats never stop."""

import multiprocessing
import os
import re
import signal
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from core import log
from core.database import make_pool
from ml_worker.handlers.base import Answer, Context, Job, ReportProgress
from ml_worker.naming import named_in_log
from ml_worker.ranking import make_ranker
from ml_worker.registry import open_registry
from ml_worker.settings import WorkerSettings

LOOK_SECONDS = 0.1
MEGABYTE = 1 << 20


class ChildFailed(Exception):
    """The child ended without an answer; `code` for programs, `str()` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Children:
    """Runs batches in processes of their own, with the limits of the settings.

    `handlers` names the module whose `HANDLERS` the child looks the kind up in. What a handler answers crosses a pipe, so the
    statements among its effects must read their rows with functions of a module, not with lambdas.
    """

    def __init__(self, settings: WorkerSettings, *, handlers: str = "ml_worker.handlers.registry") -> None:
        self._settings = settings
        self._handlers = handlers
        self._spawn = multiprocessing.get_context("spawn")  # a fork would take over the locks of our threads

    def run(self, kind: str, batch: Sequence[Job[Any]], *, report: ReportProgress) -> list[Answer]:
        """The answers of the kind's handler; raises `ChildFailed`, or what `report` raises, the child being ended first."""
        ours, theirs = self._spawn.Pipe()
        process = self._spawn.Process(target=_work, args=(theirs, self._settings, self._handlers, kind, list(batch)), daemon=True)
        process.start()
        theirs.close()  # so that a child that ends is the end of the pipe
        try:
            return self._follow(process, ours, report)
        finally:
            process.kill()
            process.join()
            ours.close()

    def _follow(self, process: BaseProcess, pipe: Connection, report: ReportProgress) -> list[Answer]:
        deadline = time.monotonic() + self._settings.child_seconds
        done, note = 0.0, None
        while True:
            report(done, note)
            if not pipe.poll(LOOK_SECONDS):
                self._check_limits(process, deadline)
                continue
            try:
                told = pipe.recv()
            except EOFError:
                process.join()
                raise _ended(process.exitcode) from None
            match told:
                case ("progress", done, note):
                    pass
                case ("answers", answers):
                    return list(answers)
                case (_, name, text):
                    log.get_logger(__name__).error("child failed", traceback=text)
                    raise ChildFailed("unexpected_error", f"the work ended in an unexpected {name}")

    def _check_limits(self, process: BaseProcess, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise ChildFailed("time_limit", f"the work took longer than {self._settings.child_seconds:g} s (CHILD_SECONDS) and was ended")
        limit, used = self._settings.child_memory_mb, resident_bytes(process.pid) // MEGABYTE
        if limit is not None and used > limit:
            raise ChildFailed("memory_limit", f"the work needed {used:,} MB of memory, {limit:,} MB are allowed (CHILD_MEMORY_MB)")


def _ended(exit_code: int | None) -> ChildFailed:
    if exit_code is None or exit_code >= 0:
        return ChildFailed("child_ended", f"the work's process ended with code {exit_code} and no answer")
    name = signal.Signals(-exit_code).name
    cause = ", as the system does when memory runs out" if -exit_code == signal.SIGKILL else ""
    return ChildFailed("child_killed", f"the work's process was ended by {name}{cause}")


def resident_bytes(pid: int | None) -> int:
    """Memory that a process has in use, 0 where the system does not tell (only Linux does)."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def own_bytes() -> int:
    """Memory of this process that no file backs and nobody shares, 0 where the system does not tell (only Linux does)."""
    with suppress(OSError):
        found = re.search(r"^RssAnon:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return 0


def _work(pipe: Connection, settings: WorkerSettings, handlers: str, kind: str, batch: list[Job[Any]]) -> None:
    """The child: one batch, then the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()
    log.configure(level=settings.log_level, style=settings.log_format)
    threadpool_limits(limits=1, user_api="blas")
    try:
        with named_in_log([job.task for job in batch]), make_pool(settings.database_url.get_secret_value(), max_size=2) as pool:
            registry = open_registry(settings)
            ranker = make_ranker(pool, registry, settings)
            context = Context(pool, registry, ranker, settings, progress=lambda done, note=None: pipe.send(("progress", done, note)))
            answers = import_module(handlers).HANDLERS[kind].run(batch, context)
        pipe.send(("answers", list(answers)))
    except Exception as error:  # told to the parent, which decides
        pipe.send(("failure", type(error).__name__, traceback.format_exc()))


def _end_with_parent(pipe: Connection) -> None:
    # The parent never sends: what arrives is the end of the pipe, because the parent is gone, however it went.
    with suppress(EOFError, OSError):
        pipe.recv()
    os._exit(1)
