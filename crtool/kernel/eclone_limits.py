"""What bounds the PIDs that this process may ask for: how many levels there are, its rights, and pid_max."""

from __future__ import annotations

import os

from crtool.abi import eclone as abi
from crtool.procfs.status import parse
from crtool.record import dataclass

__all__ = ["Caller", "pid_max"]

_RIGHTS = 1 << abi.CAP_SYS_ADMIN | 1 << abi.CAP_CHECKPOINT_RESTORE


@dataclass(frozen=True)
class Caller:
    """This process, as far as it matters for the PIDs of its children."""

    levels: int  # PID namespaces that a child is in, as far as they can be seen from here
    levels_are_all: bool  # False: /proc begins at an inner one, and there may be more above
    may_choose: bool  # it has the capability; whether in the right user namespace the kernel knows
    unborn_namespace: bool  # children are born into a PID namespace that has no first process yet (unshare(2))

    @classmethod
    def now(cls) -> Caller:
        """Asks /proc; without one that knows this process everything is left for the kernel to say."""
        try:
            with open("/proc/self/status", "rb") as file:
                status = parse(file.read())
            own = os.stat("/proc/self/ns/pid").st_ino
        except OSError:
            return cls(1, False, True, False)
        try:
            # The link cannot be followed as long as nobody has been born there (pidns_for_children_get()).
            children = os.stat("/proc/self/ns/pid_for_children").st_ino
        except OSError:
            children = 0
        return cls(
            levels=len(status.ns_pid) + (children != own),
            # NSpid begins with the namespace of this /proc, whose own place only the first one shows.
            levels_are_all=own == children == abi.PROC_PID_INIT_INO,
            may_choose=bool(status.capabilities.effective & _RIGHTS),
            unborn_namespace=children == 0,
        )


def pid_max() -> int:
    """The number that PIDs are below; of the caller's PID namespace, where each has its own (since 6.14)."""
    try:
        with open("/proc/sys/kernel/pid_max", "rb") as file:
            return int(file.read())
    except OSError:
        return 1 << 22  # PID_MAX_LIMIT
