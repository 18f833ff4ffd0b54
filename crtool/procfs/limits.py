"""/proc/PID/limits: soft and hard resource limits.

Spec: proc_pid_limits(5); proc_pid_limits() in the kernel's fs/proc/base.c; numbers from include/uapi/asm-generic/
resource.h (all CPUs but alpha, mips and sparc). This file can be read where prlimit(2) is forbidden: it needs
CAP_SYS_RESOURCE for a process of another user, which root in a container may not have.
"""

from __future__ import annotations

from crtool.procfs.error import ProcfsError
from crtool.record import dataclass

__all__ = ["RLIM_INFINITY", "Limit", "parse"]

RLIM_INFINITY = (1 << 64) - 1

_NAME_WIDTH = 25  # the kernel pads with "%-25s %-20s %-20s %-10s"

_KNOWN = {
    b"Max cpu time": (0, "RLIMIT_CPU"),
    b"Max file size": (1, "RLIMIT_FSIZE"),
    b"Max data size": (2, "RLIMIT_DATA"),
    b"Max stack size": (3, "RLIMIT_STACK"),
    b"Max core file size": (4, "RLIMIT_CORE"),
    b"Max resident set": (5, "RLIMIT_RSS"),
    b"Max processes": (6, "RLIMIT_NPROC"),
    b"Max open files": (7, "RLIMIT_NOFILE"),
    b"Max locked memory": (8, "RLIMIT_MEMLOCK"),
    b"Max address space": (9, "RLIMIT_AS"),
    b"Max file locks": (10, "RLIMIT_LOCKS"),
    b"Max pending signals": (11, "RLIMIT_SIGPENDING"),
    b"Max msgqueue size": (12, "RLIMIT_MSGQUEUE"),
    b"Max nice priority": (13, "RLIMIT_NICE"),
    b"Max realtime priority": (14, "RLIMIT_RTPRIO"),
    b"Max realtime timeout": (15, "RLIMIT_RTTIME"),
}


@dataclass(frozen=True)
class Limit:
    """One resource; RLIM_INFINITY (2⁶⁴−1, as in prlimit64) for unlimited."""

    number: int  # as prlimit(2) takes it
    name: str  # "RLIMIT_NOFILE"
    soft: int  # seconds, bytes, microseconds or things, by resource
    hard: int


def parse(data: bytes) -> dict[int, Limit]:
    """The limits by number; ProcfsError with the line that has another form.

    A resource that crtool does not know is an error too: it could not be restored.
    """
    found = {}
    for line in data.split(b"\n")[1:]:
        if not line:
            continue
        try:
            number, name = _KNOWN[line[:_NAME_WIDTH].rstrip()]
            soft, hard, *_unit = line[_NAME_WIDTH:].split()
            found[number] = Limit(number, name, _value(soft), _value(hard))
        except (KeyError, ValueError):
            raise ProcfsError("limits", line) from None
    return found


def _value(word: bytes) -> int:
    return RLIM_INFINITY if word == b"unlimited" else int(word)
