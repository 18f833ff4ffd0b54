"""The guard: puts options of the target's sockets back if crtool is killed while they are others.

Most queues can only be looked at with options that belong to the socket: SO_PEEK_OFF, and those that tell more of a
datagram. A child of crtool's hears of crtool's death. It puts the options back twice: at once, and again when a call
that crtool has made the target do must be over.

Not handled: a guard that is killed together with crtool.
"""

from __future__ import annotations

import array
import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from crtool.kernel import sockets
from crtool.kernel.outliving import Outliving

__all__ = ["Guard", "Value"]

Value = tuple[int, int, bytes]
"""Level, name and value of an option whose value has four bytes."""

_OPTION = struct.Struct("<ii4s")
_ROOM = 64 * _OPTION.size
_PAUSE = 0.02  # seconds in which a call of the target is over


class Guard:
    """Starts when it is needed first."""

    def __init__(self) -> None:
        self._child: Outliving | None = None

    def watch(self, fd: int, options: Sequence[Value]) -> None:
        """From now on, until :meth:`forget`, the socket gets the *options* if crtool dies."""
        if self._child is None:
            self._child = Outliving(_stand_guard)
        packed = b"".join(_OPTION.pack(*option) for option in options)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
        self._child.line.sendmsg([packed], [rights])

    def forget(self) -> None:
        """Everything is as it was."""
        assert self._child is not None
        self._child.line.send(b"0")

    def close(self) -> None:
        """Sends the guard home."""
        if self._child is not None:
            self._child.close()
            self._child = None


def _stand_guard(line: socket.socket, await_end: Callable[[], None]) -> None:
    watched: list[tuple[int, bytes]] = []
    while True:
        said, fds, _, _ = socket.recv_fds(line, _ROOM, 1)
        if fds:
            watched.append((fds[0], said))
        elif said:
            for fd, _ in watched:
                os.close(fd)
            watched.clear()
        else:
            break
    if watched:
        _put_back(watched)
        await_end()
        time.sleep(_PAUSE)
        _put_back(watched)


def _put_back(watched: Sequence[tuple[int, bytes]]) -> None:
    for fd, packed in watched:
        for level, name, value in _OPTION.iter_unpack(packed):
            with suppress(OSError):
                sockets.setsockopt(fd, level, name, value)
