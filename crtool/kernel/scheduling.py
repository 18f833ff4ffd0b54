"""How the kernel treats a task: sched_setattr(2), ioprio_set(2); the questions are in :mod:`crtool.kernel.process`."""

from __future__ import annotations

import ctypes

from crtool.abi.sched import IOPRIO_WHO_PROCESS
from crtool.kernel.syscall import syscall

__all__ = ["ioprio_set", "sched_setattr"]


def sched_setattr(tid: int, attr: bytes) -> None:
    """sched_setattr(2) of one task; *attr* is a struct sched_attr, whose first field is its size."""
    buffer = ctypes.create_string_buffer(attr, len(attr))
    syscall("sched_setattr", tid, ctypes.addressof(buffer), 0)


def ioprio_set(tid: int, priority: int) -> None:
    """ioprio_set(2) of one task: class and level as ioprio_get gives them."""
    syscall("ioprio_set", IOPRIO_WHO_PROCESS, tid, priority)
