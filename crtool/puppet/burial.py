"""Waiting for those who are dying under our hands, in whatever order they can end.

A tracer has to wait for each of its threads that has died, or the process stays half dead. Only then can its parent
wait for it, and that may be crtool: who loses his parent comes to the nearest subreaper above. The first process of a
PID namespace ends after all others in there have been waited for, wherever their parents live (zap_pid_ns_processes()
of kernel/pid_namespace.c). So nobody is waited for alone, but all at once, until nothing is left to wait for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress

from crtool.errors import TargetDied
from crtool.kernel.wait import WALL, note_end
from crtool.procfs import stat as stat_file
from crtool.procfs.read import read

__all__ = ["await_end", "has_ended", "reap"]

_ENDED = (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED)

_PATIENCE = 5.0  # seconds that the dying get
_PATIENCE_WITH_OURS = 60.0  # likewise, who has to be gone before crtool goes on; freeing much memory takes a while
_STUCK = 0.2  # seconds after which nobody else will come and wait for those that keep them


def await_end(tids: Iterable[int], pids: Iterable[int] = (), *, ours: bool = False) -> None:
    """Waits until all threads *tids*, tracees of ours, have ended and do not need a tracer any more.

    Meanwhile processes *pids* are waited for as a parent, if they come to be our children; with *ours* that is not over
    before they are gone. Gives up when all that are left wait for somebody who is not ours to wait for.
    """
    left, others = set(tids), set(pids)
    deadline = stuck = 0.0
    while True:
        gone = {pid for pid in others if not _is_left(pid) and not (ours and os.path.exists(f"/proc/{pid}"))}
        if ours:
            others -= gone
        ended = {tid for tid in left if not _is_left(tid)}
        left -= ended
        if not left and not (ours and others):
            return
        now = time.monotonic()
        if ended or not deadline:
            deadline, stuck = now + (_PATIENCE_WITH_OURS if ours else _PATIENCE), 0.0
        elif not all(map(_rests, left | others if ours else left)):
            stuck = 0.0
        elif not stuck:
            stuck = now + _STUCK
        if now > deadline or (stuck and now > stuck):
            return
        time.sleep(0.001)


def has_ended(tid: int) -> bool:
    """Whether tracee *tid* has ended, and that can be seen already, or is none of ours any more."""
    try:
        # No stop is taken from whoever waits for one.
        news = os.waitid(os.P_PID, tid, os.WEXITED | os.WNOHANG | os.WNOWAIT | WALL)
    except ChildProcessError:
        return True
    return news is not None and news.si_code in _ENDED


def reap(tid: int) -> bool:
    """Waits for tracee *tid* if :func:`has_ended` says so; returns what that says. Any thread of crtool may do it."""
    if not has_ended(tid):
        return False
    with suppress(ChildProcessError):
        note_end(*os.waitpid(tid, WALL | os.WNOHANG))  # nobody else can have got its number
    return True


def _is_left(pid: int) -> bool:
    """Whether there is something to wait for, now or later."""
    try:
        while (found := os.waitpid(pid, WALL | os.WNOHANG))[0]:
            note_end(*found)
    except ChildProcessError:
        return False
    return True


def _rests(pid: int) -> bool:
    """Whether a task that was killed does nothing for its end: it has ended, or waits for others to be waited for."""
    with suppress(TargetDied):
        return stat_file.parse(read(pid, "stat")).state in "SZ"
    return True
