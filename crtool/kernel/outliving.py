"""Children of crtool's that are there to put things right if it is killed.

Such a child has a session of its own, ignores what ends others, and has nothing open but one end of a line to crtool.
When that ends without a word, crtool has died.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable

__all__ = ["Outliving"]

_PAUSE = 0.002
_PATIENCE = 5.0  # seconds for a crtool that has closed its files to be gone


class Outliving:
    """A child that does *work*, at the other end of *line*."""

    def __init__(self, work: Callable[[socket.socket, Callable[[], None]], None]) -> None:
        """*work* gets its end of the line, and what waits until crtool is gone: a moment after its files are closed,
        the kernel lets go of those whom it traced. It returns when the line ends.
        """
        self.line, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        crtool = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.setsid()
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
                    signal.signal(number, signal.SIG_IGN)
                os.closerange(0, its.fileno())
                os.closerange(its.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
                work(its, lambda: _await_end(crtool))
            finally:
                os._exit(0)
        its.close()

    def close(self) -> None:
        """All is well: the child may go."""
        self.line.close()
        os.waitpid(self._pid, 0)


def _await_end(crtool: int) -> None:
    until = time.monotonic() + _PATIENCE
    while os.getppid() == crtool and time.monotonic() < until:
        time.sleep(_PAUSE)
