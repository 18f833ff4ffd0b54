"""Why a process may not be looked at, or traced: the rules of ptrace(2), as far as can be told from outside.

The kernel says EPERM for all of them. Whose the process is stands in ``status``, which everybody may read; a process
that is not dumpable, because it was setuid or has asked for it, has files in /proc that belong to root.

Not handled: security modules (but Yama), which may have any reason.
"""

from __future__ import annotations

import os
from contextlib import suppress

from crtool.errors import TargetError

__all__ = ["has_rights_of_caller", "not_permitted", "user_name"]

_CAP_SYS_PTRACE = 19
_YAMA = "/proc/sys/kernel/yama/ptrace_scope"


def not_permitted(pid: int, deed: str, proc: int | None = None) -> TargetError:
    """The error for who may not do *deed* ("trace it") to process or thread *pid*; *proc*: a descriptor of /proc."""
    cause = f"PID {pid}: not permitted to {deed}"
    mine = os.geteuid()
    uids = _uids(pid, proc)
    if mine == 0:
        if not _may_trace_all():
            return TargetError(cause, "give crtool the capability CAP_SYS_PTRACE, which root lacks here")
        return TargetError(cause, "ask the one who has set up this machine, or container: root may not do it")
    if uids and uids != {mine}:
        name = user_name(next(iter(sorted(uids - {mine}))))
        remedy = "run crtool as root" + (f", or as {name}" if len(uids) == 1 and uids != {0} else "")
        return TargetError(f"{cause}: it belongs to {name}", remedy)
    with suppress(OSError):
        if os.stat(_name(pid, "maps", proc), dir_fd=proc).st_uid != mine:
            why = "its program was setuid, or protects itself (PR_SET_DUMPABLE)"
            return TargetError(f"{cause}: {why}", "run crtool as root")
    with suppress(OSError), open(_YAMA, "rb") as file:
        if int(file.read()):
            return TargetError(cause, "run crtool as root, or allow it to the owner: sysctl kernel.yama.ptrace_scope=0")
    return TargetError(f"{cause}: it has more rights than crtool", "run crtool as root")


def has_rights_of_caller(pid: int) -> bool:
    """Whether who may trace process *pid* may trace the caller as well: same user, at least the same capabilities,
    held in the same user namespace. TargetDied.
    """
    from crtool.procfs import ns, status  # noqa: PLC0415 - they stand on read.py, and that on this
    from crtool.procfs.read import read  # noqa: PLC0415

    its, ours = (status.later(read(one, "status")) for one in (pid, os.getpid()))
    return (
        {its.uid.real, its.uid.effective, its.uid.saved} == {ours.uid.effective}
        and not ours.capabilities.permitted & ~its.capabilities.permitted
        and ns.inode(pid, "user") == ns.inode(os.getpid(), "user")
    )


def user_name(uid: int) -> str:
    """``alice (user 1000)``, as far as somebody has a name for him."""
    import pwd  # noqa: PLC0415 - for messages only

    try:
        return f"{pwd.getpwuid(uid).pw_name} (user {uid})"
    except KeyError:
        return f"user {uid}"


def _uids(pid: int, proc: int | None) -> set[int]:
    """Real, effective and saved user ID: the first two that are other than the caller's forbid it already."""
    with suppress(OSError, ValueError):
        fd = os.open(_name(pid, "status", proc), os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
        with open(fd, "rb") as file:
            for line in file:
                if line.startswith(b"Uid:"):
                    return set(map(int, line.split()[1:4]))
    return set()


def _name(pid: int, name: str, proc: int | None) -> str:
    return f"{pid}/{name}" if proc is not None else f"/proc/{pid}/{name}"


def _may_trace_all() -> bool:
    with open("/proc/self/status", "rb") as file:
        (line,) = [line for line in file if line.startswith(b"CapEff:")]
    return bool(int(line.split()[1], 16) >> _CAP_SYS_PTRACE & 1)
