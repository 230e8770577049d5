"""Imported by the fork server alone: warms it, ties it to its owner, and keeps SIGTERM from its children until they expect it."""

import contextlib
import ctypes
import signal
import sys
from importlib import import_module

import tests.faults.performance  # noqa: F401 (everything a child of the census imports)
from cli.child import PR_SET_PDEATHSIG

with contextlib.suppress(ImportError):  # a child imports the program that was started again, which may be this one
    import_module("pytest")

if sys.platform == "linux":  # its children would keep it, and it them, when the owner is killed
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
