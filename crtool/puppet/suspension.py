"""Seccomp, suspended: a filtered thread makes our calls, not its own, so its filters shall not judge them.

PTRACE_O_SUSPEND_SECCOMP holds for as long as crtool traces the thread, and takes CAP_SYS_ADMIN in the first user
namespace and a crtool that is itself under no filter. In most containers it is: there, a thread that is under just as
many filters as crtool is taken to be under the same, those of the container, and what crtool may do the thread may do
as well.

Not handled, since the kernel offers no way: if crtool is killed while a call is on its way, that call is judged by
the filters after all. Threads without filters are therefore preferred wherever any thread will do.
"""

from __future__ import annotations

import os

from crtool.abi import ptrace as abi
from crtool.errors import TargetError
from crtool.kernel import ptrace
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.procfs.status import Status

__all__ = ["confined_like_crtool", "set_options", "suspend_seccomp"]


def suspend_seccomp(tid: int, options: int, status: Status) -> bool:
    """Whether the stopped thread *tid* is under seccomp; if so, suspends that, beside the trace *options* that it has.

    *status*: of the thread, read when no other of the process ran any more: one may put all of them under its filters.
    TargetError if it is not permitted.
    """
    if not status.seccomp:
        return False
    try:
        ptrace.set_options(tid, options | abi.O_SUSPEND_SECCOMP)
    except OSError:
        ptrace.set_options(tid, options)
        if not confined_like_crtool(status.seccomp_filters or 0):
            raise TargetError(
                f"TID {tid} is under seccomp, which crtool may not suspend",
                "run crtool with CAP_SYS_ADMIN and under no seccomp filter itself",
            ) from None
    return True


def set_options(tid: int, options: int) -> None:
    """Gives a stopped thread other trace options; seccomp, if it is suspended, stays so."""
    if not suspend_seccomp(tid, options, status_file.later(read(tid, "status"))):
        ptrace.set_options(tid, options)


def confined_like_crtool(filters: int) -> bool:
    """Whether crtool itself is under just that number of seccomp filters, and some at all."""
    return filters > 0 and filters == status_file.later(read(os.getpid(), "status")).seccomp_filters
