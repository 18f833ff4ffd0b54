"""Looking into namespaces of somebody else, by a short-lived child that enters them (setns(2))."""

from __future__ import annotations

import os
from collections.abc import Callable

from crtool.abi.clone import CLONE_NEWNS
from crtool.kernel import mount
from crtool.kernel.process import pidfd_open
from crtool.kernel.standin import stand_in
from crtool.kernel.syscall import syscall

__all__ = ["queue_names", "within"]


def within(door: int, flags: int, ask: Callable[[], bytes]) -> bytes:
    """What *ask* returns where thread *door* lives; *flags* (CLONE_NEW*) say which namespaces are meant.

    Raises OSError: PermissionError if they may not be entered.
    """
    pidfd = pidfd_open(door)

    def work() -> bytes:
        syscall("setns", pidfd, flags)
        return ask()

    try:
        return bytes(stand_in(work))
    finally:
        os.close(pidfd)


def queue_names() -> list[str]:
    """The POSIX message queues of the IPC namespace. To be asked :func:`within` it: it changes the caller's mounts."""
    syscall("unshare", CLONE_NEWNS)
    mount.make_private()
    mount.mount("mqueue", "/dev", "mqueue", 0)
    return os.listdir("/dev")
