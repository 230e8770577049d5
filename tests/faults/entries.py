"""The processes of the census: the product's own entries with failpoints armed, forked from a server that has imported them."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

import app.main
import ml_worker.main
from cli.child import PR_SET_PDEATHSIG
from tests.faults import control, failing
from tests.faults.witness import HANDLERS

Entry = Callable[[], None]

_CONTEXT = multiprocessing.get_context("forkserver")


def work() -> None:
    """`python -m ml_worker.main` with the work of the census."""
    ml_worker.main.main(HANDLERS)


def work_without_claim() -> None:
    """A worker of the control group."""
    control.take_out("claim")
    work()


def work_without_fence() -> None:
    """A worker of the other control group."""
    control.take_out("fence")
    work()


def serve() -> None:
    """`python -m app.main`."""
    app.main.main()


def launch(entry: Entry, environment: Mapping[str, str], *, folder: Path, log: Path) -> BaseProcess:
    """Start one; a fork of a warm process takes milliseconds where a new interpreter takes a second of a core."""
    _CONTEXT.set_forkserver_preload(["tests.faults.nursery"])
    process = _CONTEXT.Process(target=_begin, args=(entry, dict(environment), folder, log))
    process.start()
    return process


def _begin(entry: Entry, environment: dict[str, str], folder: Path, log: Path) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # the fork server ends with whoever asked it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the product's own handler is there
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    os.setpgid(0, 0)  # Ctrl-C is for whoever conducts the census
    os.chdir(folder)
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if spec := environment.get("FAILPOINTS"):
        failing.arm(spec, log=folder / "failpoints.log", seed=environment["FAILPOINT_SEED"])
    entry()
