"""Starts the interface: `python -m streamlit_ui.main`."""

import errno
import os
import signal
import socket
import sys
from types import FrameType

import uvicorn
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from streamlit_ui import server
from streamlit_ui.client import Api
from streamlit_ui.sessions import Sessions, Tickets
from streamlit_ui.settings import UiSettings
from streamlit_ui.state import Site, install

BAD_SETTINGS = 2
STOP_SECONDS = 3


class CannotStart(Exception):
    """Why the interface cannot start, as a sentence for whoever started it."""


def main() -> int:
    """Serve until a signal says stop; returns the exit code."""
    try:
        settings = _settings()
        listener = _listener(settings)
        site = _site(settings)
    except CannotStart as reason:
        sys.stderr.writelines(f"ui: {sentence}\n" for sentence in str(reason).splitlines())
        return BAD_SETTINGS
    server.configure(settings)
    install(site)
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, _exit)
    sys.stderr.write(f"ui: listening at http://{settings.ui_host}:{settings.ui_port}\n")
    uvicorn.Server(
        uvicorn.Config(
            server.application(site),
            log_level="warning",
            access_log=False,
            ws="websockets-sansio",
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    ).run(sockets=[listener])
    return 0


def _exit(_signal: int, _frame: FrameType | None) -> None:
    # uvicorn takes the signals over, stops serving and raises what it got again, which ends here. A page that still
    # waits for an answer would keep its thread, and so the process, for as long: there is nothing left to finish.
    sys.stderr.flush()
    os._exit(0)


def _settings() -> UiSettings:
    try:
        return UiSettings()
    except ValidationError as error:
        raise CannotStart("\n".join(_sentence(found) for found in error.errors())) from error


def _sentence(found: ErrorDetails) -> str:
    reason = found["msg"].removeprefix("Value error, ")
    return f"{'.'.join(str(part) for part in found['loc']).upper()}: {reason[:1].lower()}{reason[1:]}."


def _listener(settings: UiSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.ui_host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.ui_host, settings.ui_port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(f"port {settings.ui_port} on {settings.ui_host} is taken; set UI_PORT to a free one.") from error
        raise CannotStart(f"cannot listen on {settings.ui_host}:{settings.ui_port}: {error.strerror or error}.") from error
    return listener


def _site(settings: UiSettings) -> Site:
    api = Api(settings.api_url)
    try:
        sessions = Sessions(settings.ui_session_dir, api)
    except OSError as error:
        raise CannotStart(f"UI_SESSION_DIR: {settings.ui_session_dir} cannot be used: {error.strerror}.") from error
    return Site(settings=settings, api=api, sessions=sessions, tickets=Tickets())


if __name__ == "__main__":
    sys.exit(main())
