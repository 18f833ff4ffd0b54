"""The limit of the time for which a tree stands still (``--timeout``), wherever crtool is when it is reached.

Most of what is done to a frozen tree asks now and then how late it is. But crtool may wait in a system call, for a slow
disk or for the reader of a pipe, or be busy with one large thing. So there is an alarm too, by ITIMER_REAL: its handler
raises TimeoutExpired from wherever it interrupts crtool, unless that is done with something that has to be whole
(:mod:`crtool.kernel.interruption`). A thread that does not come back from a call for a while has been stopped by
somebody else (a freezer, say); then it is given up, and walks home when crtool has ended and it is let run.

Not handled: who runs crtool outside of the main thread, with SIGALRM blocked or in use. Then only the asking is left.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

from crtool.errors import TimeoutExpired
from crtool.kernel.interruption import interrupt
from crtool.kernel.wait import wait_for_stop

__all__ = ["Limit"]

_AGAIN = 1.0  # seconds until the alarm goes off again, should it have been taken for another error
_STUCK = 0.9  # seconds after the limit when a thread in a call is taken for stopped by somebody else


class Limit:
    """A time of time.monotonic(), or None, at which a tree is to be let go."""

    def __init__(self, moment: float | None) -> None:
        self._moment = moment
        self._on = False

    def check(self) -> None:
        """To be called now and then: TimeoutExpired when it is too late."""
        if self._moment is not None and time.monotonic() > self._moment:
            raise _expired()

    def begin(self) -> None:
        """From here on the alarm is set, if there is a limit, and crtool may have one."""
        if self._moment is not None and _may_have_alarm():
            self._on = True
            signal.signal(signal.SIGALRM, self._ring)
            signal.setitimer(signal.ITIMER_REAL, max(self._moment - time.monotonic(), 0.001), _AGAIN)

    def end(self) -> None:
        """No alarm any more; what is begun now is also finished."""
        if self._on:
            self._on = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _ring(self, _number: int, frame: FrameType | None) -> None:
        if self._on and self._moment is not None and frame is not None:
            waits = frame.f_code is wait_for_stop.__code__
            interrupt(_expired(), at_once=waits and time.monotonic() > self._moment + _STUCK)


def _may_have_alarm() -> bool:
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
        and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        and signal.SIGALRM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    )


def _expired() -> TimeoutExpired:
    return TimeoutExpired("the checkpoint did not end in the time given", "give it more --timeout")
