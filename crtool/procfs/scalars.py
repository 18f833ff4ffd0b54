"""The files of /proc/PID that hold one number or one word.

Spec: proc_pid_personality(5), proc_pid_timerslack_ns(5), proc_pid_oom_score_adj(5), proc_pid_coredump_filter(5) in
core(5), proc_pid_loginuid(5), proc_pid_setgroups(5); the kernel's fs/proc/base.c. Each function is named after its file
and raises ProcfsError with a content that has another form.
"""

from __future__ import annotations

from crtool.procfs.error import ProcfsError

__all__ = [
    "comm",
    "coredump_filter",
    "loginuid",
    "oom_score_adj",
    "personality",
    "sessionid",
    "setgroups",
    "timerslack_ns",
]

_UNSET = (1 << 32) - 1  # (uid_t) −1


def _number(file: str, data: bytes, base: int) -> int:
    try:
        return int(data, base)
    except ValueError:
        raise ProcfsError(file, data) from None


def personality(data: bytes) -> int:
    """The execution domain and its flags, as personality(2) takes them."""
    return _number("personality", data, 16)


def timerslack_ns(data: bytes) -> int:
    """Nanoseconds that timers of the thread may be late."""
    return _number("timerslack_ns", data, 10)


def oom_score_adj(data: bytes) -> int:
    """−1000 (never killed for lack of memory) … 1000."""
    return _number("oom_score_adj", data, 10)


def coredump_filter(data: bytes) -> int | None:
    """Bits for the kinds of mappings that a core dump has; None for a task without memory."""
    return _number("coredump_filter", data, 16) if data else None


def loginuid(data: bytes) -> int | None:
    """The user who logged in, for the audit; None if nobody has."""
    uid = _number("loginuid", data, 10)
    return None if uid == _UNSET else uid


def sessionid(data: bytes) -> int | None:
    """The audit's number of the login session; None if there is none."""
    session = _number("sessionid", data, 10)
    return None if session == _UNSET else session


def setgroups(data: bytes) -> bool:
    """Whether setgroups(2) is allowed in the user namespace of the process."""
    word = data.rstrip(b"\n")
    if word not in (b"allow", b"deny"):
        raise ProcfsError("setgroups", data)
    return word == b"allow"


def comm(data: bytes) -> bytes:
    """The command name: whatever stands before the newline that the kernel adds."""
    if not data.endswith(b"\n"):
        raise ProcfsError("comm", data)
    return data[:-1]
