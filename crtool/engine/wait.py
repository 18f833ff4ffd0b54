"""Waiting for a restored root as its parent: signals go on to it, its end is ours."""

from __future__ import annotations

import os
import signal
from types import FrameType

__all__ = ["wait_for"]

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


def wait_for(pid: int) -> int:
    """Waits until child *pid* has ended, forwarding signals meanwhile; returns its wait status."""

    def forward(number: int, _frame: FrameType | None) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    try:
        while True:
            # All children: what crtool still traces (a main thread that ended before its process) has to be
            # waited for by crtool before its own parent can.
            ended, status = os.waitpid(-1, 0x40000000)
            if ended == pid and (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
                return status
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
