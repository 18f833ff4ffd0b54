"""What x86-64 programs switch on by arch_prctl(2) for good: shadow stacks and tagged addresses.

The kernel keeps for each thread whether it has a shadow stack (ARCH_SHSTK_ENABLE, since 6.6), and for each address
space which upper bits of a pointer it ignores (ARCH_ENABLE_TAGGED_ADDR, since 6.4).

We read x86_Thread_features and untag_mask in /proc/PID/task/TID/status.

We do not rebuild them: both are refused, before the target is touched. With a shadow stack that is more than a gap:
the CPU would end a thread at the first `ret` of the batch runner, which no `call` of its own has led to.

The bases of FS and GS, the older part of arch_prctl, are registers (:mod:`crtool.arch`).
"""

from __future__ import annotations

from crtool.errors import Obstacle
from crtool.procfs.status import Status

__all__ = ["obstacles"]

_ALL_BITS = (1 << 64) - 1


def obstacles(pid: int, status: Status) -> list[Obstacle]:
    """What keeps the thread of *status*, of process *pid*, from being saved."""
    found = []
    where = "" if status.pid == pid else f"thread {status.pid}"
    if "shstk" in status.x86_thread_features:
        found.append(
            Obstacle(
                pid,
                where,
                "it has a shadow stack, which cannot be saved",
                "start it with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off",
            )
        )
    if status.untag_mask not in (None, _ALL_BITS):
        found.append(
            Obstacle(
                pid,
                where,
                "it uses tagged addresses (linear address masking), which cannot be restored",
                "run the program without them",
            )
        )
    return found
