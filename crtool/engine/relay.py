"""A terminal of its own for a restored session whose terminal was outside the tree.

A shell that was started in a terminal window leads the session that the terminal belongs to. At a restart that
session is made again, and the caller's terminal belongs to the caller's session: no terminal has two. So the program
gets a new pseudoterminal, and crtool passes on what comes at either side, as script(1) and ssh(1) do.
"""

from __future__ import annotations

import os
import select
import termios
import threading
import tty
from contextlib import suppress

from crtool.kernel import terminal
from crtool.kernel.interruption import start

__all__ = ["Relay"]

_PIECE = 1 << 14
_LAST_WORDS = 0.5  # seconds for output that comes when the root has ended already


class Relay:
    """The passing on, by a thread of its own, between the caller's terminal and a master."""

    def __init__(self, fd: int, master: int) -> None:
        """*fd*: the caller's terminal; *master*: of the program's. Both are closed at the end."""
        self.fd = fd
        self.master = master
        self._former = terminal.settings(fd)
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._pass_on, name="crtool relay", daemon=True)

    def start(self) -> None:
        """Makes the caller's terminal pass everything, and begins."""
        tty.setraw(self.fd, termios.TCSANOW)  # what has been typed already is for the program
        self.resize()
        start(self._thread)

    def resize(self) -> None:
        """Gives the program's terminal the size of the caller's; the kernel tells the program."""
        with suppress(OSError):
            terminal.set_size(self.master, terminal.size(self.fd))

    def close(self) -> None:
        """Ends it once the program's last words have been passed on; the caller's terminal gets its settings back."""
        if self._thread.is_alive():
            self._thread.join(_LAST_WORDS)
            os.write(self._waker, b"!")
            self._thread.join()
        with suppress(OSError):
            terminal.set_settings(self.fd, self._former)
        for fd in (self.fd, self.master, self._wake, self._waker):
            os.close(fd)

    def _pass_on(self) -> None:
        look = select.poll()
        for fd in (self.fd, self.master, self._wake):
            look.register(fd, select.POLLIN)
        while True:
            for fd, _ in look.poll():
                if fd == self._wake:
                    return
                try:
                    piece = os.read(fd, _PIECE)
                except OSError:
                    piece = b""
                if not piece:
                    if fd == self.master:
                        return  # nobody has the program's terminal any more
                    look.unregister(fd)
                    continue
                with suppress(OSError):
                    _write_all(self.fd if fd == self.master else self.master, piece)


def _write_all(fd: int, piece: bytes) -> None:
    while piece:
        piece = piece[os.write(fd, piece) :]
