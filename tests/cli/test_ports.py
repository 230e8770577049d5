"""Ports: the asked one or a clear word, the default one or the next that is free."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cli import ports
from cli.refusal import Refusal


@contextmanager
def taken(count: int) -> Iterator[int]:
    """The first of `count` neighbouring ports that are in use."""
    for first in range(23000, 60000, 97):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for offset, one in enumerate(sockets):
                one.bind(("127.0.0.1", first + offset))
                one.listen()
            yield first
            return
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise AssertionError("no free neighbours found")


def test_an_asked_port_that_is_taken_is_refused_by_name():
    with taken(1) as port, pytest.raises(Refusal, match=f"port {port} on 127.0.0.1 is taken.*API_PORT") as refused:
        ports.choose("127.0.0.1", asked=port, default=8080, setting="API_PORT")
    assert refused.value.exit_code == 2


def test_a_taken_default_gives_way_to_the_next_free_port():
    with taken(3) as port:
        assert ports.choose("127.0.0.1", asked=None, default=port, setting="API_PORT") > port + 2


def test_when_none_is_free_it_says_which_were_tried():
    with taken(ports.TRIES) as port, pytest.raises(Refusal, match=f"no port from {port} to {port + ports.TRIES - 1}") as refused:
        ports.choose("127.0.0.1", asked=None, default=port, setting="UI_PORT")
    assert refused.value.exit_code == 2
