"""Threads that are in the middle of vfork(2): the kernel lets nobody stop them until their child execs or exits.

Their wait (wait_for_vfork_done() in kernel/fork.c) ends for nothing else but SIGKILL. One that was seized cannot even
be let go before; so whoever stays there is noticed before it is touched.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from crtool.arch import cpu
from crtool.errors import TargetError
from crtool.procfs import stat as stat_file
from crtool.procfs.read import read

__all__ = ["await_children", "is_in_vfork", "refusal"]

_PATIENCE = 5.0  # seconds for a child to exec or exit
_PAUSE = 0.001


def is_in_vfork(pid: int, tid: int) -> bool:
    """Whether thread *tid* of process *pid* waits for its child to exec or exit."""
    try:
        call = read(pid, "syscall", tid).split()
        state = stat_file.parse(read(pid, "stat", tid)).state
    except (TargetError, OSError):  # it has ended, or may not be looked at
        return False
    numbers = {str(cpu.NUMBERS[name]).encode() for name in ("vfork", "clone", "clone3")}
    return state == "D" and bool(call) and call[0] in numbers


def refusal(pid: int) -> TargetError:
    """What is said of process *pid* if that does not end."""
    return TargetError(
        f"PID {pid} is in the middle of vfork: the kernel lets nobody stop it until its child execs or exits",
        "try again when the child has gone on",
    )


def await_children(found: Iterable[tuple[int, int]]) -> None:
    """Waits a moment for the children of threads (PID, TID) that are in the middle of vfork; raises the refusal."""
    until = time.monotonic() + _PATIENCE
    for pid, tid in found:
        while is_in_vfork(pid, tid):
            if time.monotonic() > until:
                raise refusal(pid)
            time.sleep(_PAUSE)
