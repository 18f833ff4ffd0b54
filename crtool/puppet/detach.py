"""Letting go those who were seized, but have perhaps not come to rest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from crtool.errors import TargetDied, TimeoutExpired
from crtool.kernel import ptrace
from crtool.kernel.wait import Stop, wait_for_stop
from crtool.procfs import stat as stat_file
from crtool.procfs.read import read
from crtool.puppet.burial import await_end

__all__ = ["detach_early"]

_LAST_PATIENCE = 60.0  # seconds for one that is to be let go and has not stopped yet


def detach_early(tids: Sequence[int]) -> None:
    """Detaches from threads whose stop has perhaps not been seen yet.

    Who has stopped goes first: others may only come to their stop when it goes on (vfork). A tracee that runs cannot be
    detached; it would stand still as soon as it stops, if crtool went its way.
    """
    late, dead = [], []
    for tid in tids:
        number = 0  # of a signal at whose delivery it has stopped, unseen: to be delivered after all
        try:
            status = wait_for_stop(tid, 0.0)
            number = status.signal if status.kind is Stop.SIGNAL else 0
        except TimeoutExpired:
            pass  # it has been seen, or runs
        except TargetDied:
            continue
        try:
            ptrace.detach(tid, number)
        except TargetDied:
            late.append(tid)  # not stopped, or really gone
    for tid in late:
        with suppress(TargetDied):
            ptrace.interrupt(tid)
    until = time.monotonic() + _LAST_PATIENCE
    while late and time.monotonic() < until:
        for tid in list(late):
            try:
                status = wait_for_stop(tid, 0.0)
            except TimeoutExpired:
                if not _has_ended(tid):
                    continue
                dead.append(tid)  # waited for at the end, all together
            except TargetDied:
                pass
            else:
                with suppress(TargetDied):
                    ptrace.detach(tid, status.signal if status.kind is Stop.SIGNAL else 0)
            late.remove(tid)
        if late:
            time.sleep(0.0005)
    await_end(dead)


def _has_ended(tid: int) -> bool:
    try:
        return stat_file.parse(read(tid, "stat", tid)).state in ("Z", "X")
    except TargetDied:
        return True
