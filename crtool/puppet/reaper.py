"""Waiting for threads that have ended while crtool waits for PTRACE_SEIZE.

A thread that calls execve(2) ends all others of its process and waits for their ends (de_thread() in fs/exec.c). Those
whom crtool traces have not ended before their tracer has waited for them. And as long as an execve is under way,
PTRACE_SEIZE of another thread waits for it (cred_guard_mutex), whatever happens: each would wait for the other, for
ever. So while the threads of a process are seized, a second thread of crtool waits for those that are dead.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from crtool.errors import EnvironmentDiffers
from crtool.kernel.interruption import start, whole
from crtool.puppet.burial import reap

__all__ = ["Reaper"]

_PATIENCE = 0.02  # seconds that one seizure may take, which is a thousand times what it takes
_PAUSE = 0.005

_ending: list[threading.Thread] = []  # second threads that have been told to end


class Reaper:
    """The second thread, from the first call of :meth:`begin` to :meth:`end`."""

    def __init__(self) -> None:
        self._tracees: Callable[[], Iterable[int]] = tuple
        self._since = 0.0  # time.monotonic() of the beginning of the seizure that is under way
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Starts it, if that has not been done."""
        if self._thread is None:
            self._over.clear()
            thread = threading.Thread(target=self._run, daemon=True)
            with suppress(EnvironmentDiffers):  # a limit on the number of threads
                start(thread)
                self._thread = thread

    def attend(self, tracees: Callable[[], Iterable[int]]) -> None:
        """From now on the dead among *tracees* are waited for whenever a seizure takes long."""
        self.begin()
        self._tracees = tracees

    @whole
    def end(self) -> None:
        """Tells it to end. It is waited for when crtool forks, or when there is time: by :meth:`await_end`."""
        if self._thread is not None:
            _ending.append(self._thread)
            self._thread = None
            self._over.set()

    def await_end(self) -> None:
        """There is no second thread any more."""
        self.end()
        _await_ends()

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, *exc: object) -> None:
        self._since = 0.0

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for the main thread
        pause = _PATIENCE
        while not self._over.wait(pause):
            since = self._since
            if since and time.monotonic() - since > _PATIENCE:
                pause = _PAUSE
                for tid in self._tracees():
                    reap(tid)
            else:
                pause = _PATIENCE


def _await_ends() -> None:
    while _ending:
        _ending.pop().join()


os.register_at_fork(before=_await_ends)
