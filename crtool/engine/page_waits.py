"""Threads that wait, within a system call, for a page that a userfaultfd gives out or protects.

In the program's own code such a wait ends when the thread is to be stopped: it makes the fault again. Within a call the
kernel tries the fault again by itself, for as long as it takes (fault_signal_pending() in the kernel's
include/linux/sched/signal.h looks at signals other than SIGKILL only for faults of programs). The thread stops when
somebody gives it the page, who must not stand still.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from crtool.errors import TargetDied, TargetError
from crtool.procfs.read import read
from crtool.procfs.tasks import threads

__all__ = ["await_pages"]

_PATIENCE = 5.0  # seconds for a page to be given
_PAUSE = 0.001
_OUTSIDE = (b"-1", b"running")  # what /proc/PID/syscall begins with for who is in no call


def await_pages(pids: Iterable[int]) -> None:
    """Waits a moment for the pages that threads of processes *pids* wait for within calls; TargetError if they do not
    come.
    """
    until = time.monotonic() + _PATIENCE
    for pid in pids:
        try:
            tids = threads(pid)
        except TargetDied:
            continue
        for tid in tids:
            while _waits(pid, tid):
                if time.monotonic() > until:
                    raise TargetError(
                        f"PID {tid} waits, within a system call, for memory that a userfaultfd gives out or protects",
                        "try again when it has got that",
                    )
                time.sleep(_PAUSE)


def _waits(pid: int, tid: int) -> bool:
    try:
        if read(pid, "wchan", tid) != b"handle_userfault":
            return False
        return not read(pid, "syscall", tid).startswith(_OUTSIDE)
    except (TargetError, OSError):  # it has ended
        return False
