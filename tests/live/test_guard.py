"""What the guard does when crtool is killed while it looks into a socket, and when it is not."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from crtool.abi.socket import SO_PEEK_OFF
from crtool.resources.files.sockets.guard import Guard

from .harness.processes import Deadline, descendants, reap_all

PATIENCE = 20.0


def offset(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, SO_PEEK_OFF)


def passes_credentials(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_options_are_as_they_were_when_crtool_is_dead(kind: int) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    with ours, theirs:
        before = descendants()
        ours.setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, 7)
        child = os.fork()
        if child == 0:
            look_and_die(ours)
        _, status = os.waitpid(child, 0)

        assert signal.SIGKILL == os.WTERMSIG(status)
        Deadline(PATIENCE, "as it was").wait_until(lambda: (7, 0) == (offset(ours), passes_credentials(ours)))
        reap_all(descendants() - before)  # the guard


def look_and_die(sock: socket.socket) -> None:
    try:
        guard = Guard()
        options = [(socket.SOL_SOCKET, SO_PEEK_OFF, 7), (socket.SOL_SOCKET, socket.SO_PASSCRED, 0)]
        guard.watch(sock.fileno(), [(level, name, value.to_bytes(4, "little")) for level, name, value in options])
        sock.setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, 99)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        os.kill(os.getpid(), signal.SIGKILL)
    finally:
        os._exit(1)


def test_what_is_forgotten_is_left_alone() -> None:
    """A program may change the option itself, after crtool has looked."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        guard = Guard()
        guard.watch(ours.fileno(), [(socket.SOL_SOCKET, SO_PEEK_OFF, (7).to_bytes(4, "little"))])
        guard.forget()
        ours.setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, 3)
        guard.close()

        assert 3 == offset(ours)
