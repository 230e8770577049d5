"""Imported by the fork server alone: warms it, and keeps SIGTERM from its children until they know what to do with it."""

import contextlib
import signal
from importlib import import_module

import tests.faults.performance  # noqa: F401 (everything a child of the census imports)

with contextlib.suppress(ImportError):  # a child imports the program that was started again, which may be this one
    import_module("pytest")

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
