"""Waiting for a restored root as its parent: signals go on to it, its end is ours."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from crtool.engine.foreground import Foreground
from crtool.engine.relay import Relay
from crtool.kernel.wait import WALL

__all__ = ["signals_held", "wait_for"]

# What a user or a supervisor sends to a foreground program; the rest is for crtool itself.
_FORWARDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGCONT,
)
_FROM_KEYS = (signal.SIGINT, signal.SIGQUIT)


@contextmanager
def signals_held() -> Iterator[None]:
    """Keeps back what is to be forwarded until :func:`wait_for` can do so, or to the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def wait_for(pid: int, job: Foreground | Relay | None = None) -> int:
    """Waits until child *pid* has ended, forwarding signals meanwhile; returns its wait status. Within signals_held.

    *job*: what crtool does about the caller's terminal meanwhile, if the program has it.
    """

    def forward(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGWINCH and isinstance(job, Relay):
            job.resize()  # the kernel tells the program
        elif number == signal.SIGCONT and isinstance(job, Foreground):
            job.go_on()
        elif number in _FROM_KEYS and isinstance(job, Foreground) and job.group == os.getpgrp():
            pass  # typed at the terminal: the program has got it as well
        else:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    stops = os.WUNTRACED if isinstance(job, Foreground) else 0
    try:
        while True:
            # All children: what crtool still traces (a main thread that ended before its process) has to be
            # waited for by crtool before its own parent can.
            ended, status = os.waitpid(-1, WALL | stops)
            if ended != pid:
                continue
            if isinstance(job, Foreground) and os.WIFSTOPPED(status):
                job.follow_stop(os.WSTOPSIG(status))
            elif os.WIFEXITED(status) or os.WIFSIGNALED(status):
                return status
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)  # as it was
        for number, handler in before.items():
            signal.signal(number, handler)
