"""The caller's terminal while a restored job has it: crtool is the shell of that job, and a job of its own shell.

The job gets the terminal, with the settings it had made, for as long as it runs and crtool is itself in the foreground.
When it stops, crtool takes the terminal back, puts its former settings back, and stops by the same signal, so that the
shell sees a stopped job; when the shell continues crtool, crtool continues the job. sudo(8) does the same.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from crtool.abi.termios import TIOCSPGRP
from crtool.kernel import terminal
from crtool.resources.files.terminals import CallersRecord

__all__ = ["Foreground"]

Size = tuple[int, int, int, int]  # rows, columns, pixels across, pixels down


class Foreground:
    """The caller's terminal and the group that gets it."""

    def __init__(self, fd: int, group: int, *, size: Size, settings: bytes | None, wanted: bool) -> None:
        """*fd*: the terminal, to be closed at the end; *group*: the one that gets it; *size*, *settings*: what the job
        knows, and wants; *wanted*: whether it is to have it from the beginning.
        """
        self.fd = fd
        self.group = group
        self.lent = False
        self.wanted = wanted
        self._size = size
        self._job_settings = settings
        self._former = terminal.settings(fd)

    @classmethod
    def restored(cls, fd: int, record: CallersRecord, group: int) -> Foreground:
        """For a job that comes back: it has the terminal if it had it at the checkpoint."""
        settings = record.settings if record.foreground else None
        return cls(fd, group, size=record.size, settings=settings, wanted=bool(record.foreground))

    @classmethod
    def new(cls, group: int) -> Foreground | None:
        """For a command that has just been started; None if crtool has no controlling terminal."""
        try:
            fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return cls(fd, group, size=terminal.size(fd), settings=None, wanted=True)
        except OSError:  # it was hung up
            os.close(fd)
            return None

    def close(self) -> None:
        """Takes the terminal back, for good."""
        self.take_back()
        os.close(self.fd)

    @property
    def is_ours(self) -> bool:
        """Whether crtool is in the foreground."""
        return terminal.foreground(self.fd) == os.getpgrp()

    def lend(self) -> bool:
        """Gives the terminal to the job, if crtool has it to give; says whether the job has it."""
        if not self.lent and self.is_ours:
            self._former = terminal.settings(self.fd)
            self.lent = True  # from the first step on there is something to be taken back
            with _may_write():
                if self.group != os.getpgrp():
                    terminal.set_word(self.fd, TIOCSPGRP, self.group)
                if self._job_settings is not None:
                    terminal.set_settings(self.fd, self._job_settings)
        return self.lent

    def tell_size(self) -> None:
        """Tells the job that the window has another size than the one it knows."""
        size = terminal.size(self.fd)
        if self.lent and size != self._size:
            self._size = size
            with suppress(ProcessLookupError):
                os.killpg(self.group, signal.SIGWINCH)

    def take_back(self) -> None:
        """Takes the terminal from the job, and keeps the settings that the job has made for the next time."""
        if not self.lent:
            return
        self.lent = False
        with suppress(OSError), _may_write():  # a terminal that was hung up: nothing to be had back
            self._job_settings = terminal.settings(self.fd)
            if self.group != os.getpgrp():
                terminal.set_word(self.fd, TIOCSPGRP, os.getpgrp())
            terminal.set_settings(self.fd, self._former)

    def go_on(self) -> None:
        """Continues the job, in the foreground if crtool is there."""
        self.lend()
        with suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGCONT)
        self.tell_size()

    def follow_stop(self, number: int) -> None:
        """The job was stopped by signal *number*: so is crtool, until somebody continues it.

        If the job only wants the terminal (SIGTTIN, SIGTTOU) and crtool has it to give, it gets it.
        """
        if number in (signal.SIGTTIN, signal.SIGTTOU) and not self.lent and self.is_ours:
            self.go_on()
            return
        self.take_back()
        if self.group != os.getpgrp():  # else the same signal has come to crtool itself
            os.kill(os.getpid(), number)


@contextmanager
def _may_write() -> Iterator[None]:
    """Lets a process in the background change the terminal: the kernel would stop it by SIGTTOU."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
