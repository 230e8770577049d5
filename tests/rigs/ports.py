"""Ports for servers that tests start, kill and start again."""

import random
import socket

BELOW_EPHEMERAL = range(15_000, 32_000)
"""Not where the system takes the near ends of outgoing connections from: one of those could hold the port of a server that is
down for a moment (Linux: net.ipv4.ip_local_port_range, from 32768)."""

_dice = random.SystemRandom()  # tests seed the common generator alike in processes that run side by side


def free_port() -> int:
    """A port of the loopback address on which nobody listens."""
    while True:
        port = _dice.choice(BELOW_EPHEMERAL)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
