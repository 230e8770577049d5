"""Finds the ports the local stack listens on."""

import socket

from cli.refusal import Refusal

TRIES = 20


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def choose(host: str, *, asked: int | None, default: int, setting: str) -> int:
    """The asked port, or the first free one from the default; a `Refusal` with exit code 2 if there is none."""
    if asked is not None:
        if not is_free(host, asked):
            raise Refusal(f"port {asked} on {host} is taken; stop what uses it or set {setting} to another port", exit_code=2)
        return asked
    for port in range(default, default + TRIES):
        if is_free(host, port):
            return port
    raise Refusal(f"no port from {default} to {default + TRIES - 1} on {host} is free; set {setting} to one that is", exit_code=2)
