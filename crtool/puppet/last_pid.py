"""Births with chosen PIDs by puppets that have no clone3: clone(2), right after a number is written to ns_last_pid.

As :mod:`crtool.kernel.ns_last_pid` says for crtool's own children, somebody else may be born in between. In a PID
namespace of the tree's own nobody else is there. So every birth is looked at afterwards (:func:`has_pids`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache

from crtool.abi.fcntl import AT_FDCWD
from crtool.errors import EnvironmentDiffers
from crtool.kernel.clone import why_no_set_tid
from crtool.kernel.eclone_request import EcloneRequest
from crtool.kernel.ns_last_pid import PATH
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.puppet.batch import Batch, Call

__all__ = ["bear", "choose_next", "has_pids", "needed"]

_LEGACY = 0xFFFF_FFFF  # flags that clone(2) can be told


@cache
def needed() -> bool:
    """Whether clone3 cannot choose PIDs: it is missing, or hidden by a seccomp filter, which puppets inherit."""
    return why_no_set_tid() is not None


def choose_next(batch: Batch, pid: int) -> None:
    """Adds the calls after which the next to be born in the PID namespace of whoever makes them is *pid*, if free."""
    number = str(pid - 1).encode()
    fd = batch.call("openat", AT_FDCWD, batch.path(PATH), os.O_WRONLY, 0, label="the last PID")
    batch.call("pwrite64", fd, number, len(number), 0, label="the last PID")
    batch.call("close", fd)


def bear(batch: Batch, request: EcloneRequest, *, must: bool) -> Call:
    """Adds the birth that *request* describes; EnvironmentDiffers if it takes more than clone(2) can do."""
    if len(request.named) > 1 or request.flags & ~_LEGACY:
        raise EnvironmentDiffers(
            f"PIDs in nested PID namespaces ({'/'.join(map(str, request.pids))}) cannot be chosen: {why_no_set_tid()}",
            "run crtool where clone3 is allowed",
        )
    if request.named:
        choose_next(batch, request.named[0])
    args = request.clone3()
    return batch.call("clone", args.flags | args.exit_signal, 0, 0, 0, 0, must=must, label=str(request.pids))


def has_pids(tid: int, pids: Sequence[int]) -> bool:
    """Whether the innermost numbers of task *tid* are *pids*."""
    found = status_file.later(read(tid, "status")).ns_pid
    return not pids or found[-len(pids) :] == tuple(pids)
