"""An open file as crtool looks at it: what /proc says about a descriptor, and a descriptor of our own for the same."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from crtool.kernel import sockets
from crtool.kernel.process import pidfd_getfd
from crtool.procfs import fdinfo as fdinfo_parser
from crtool.record import dataclass

__all__ = ["OpenFile", "borrow", "remedy_for"]

_NONE = (-1, -1, -1)


@dataclass(frozen=True)
class OpenFile:
    """An open file description of a frozen process, borrowed for as long as it is being looked at."""

    pid: int  # the process, as crtool sees it
    fd: int  # its descriptor there
    local: int  # our own descriptor for the same open file description
    link: bytes  # what /proc/PID/fd/FD links to
    info: fdinfo_parser.Fdinfo  # /proc/PID/fdinfo/FD
    stat: os.stat_result

    @property
    def flags(self) -> int:
        """Its O_* flags without O_CLOEXEC, which belongs to the descriptor."""
        return self.info.flags & ~os.O_CLOEXEC

    @property
    def position(self) -> int:
        """The file offset."""
        return self.info.pos

    @property
    def socket(self) -> tuple[int, int, int]:
        """Family, type and protocol of a socket; (−1, −1, −1) of anything else. Asked once: each kind wants to know."""
        if not self.link.startswith(b"socket:[") or self.flags & os.O_PATH:
            return _NONE
        return self._socket

    @cached_property
    def _socket(self) -> tuple[int, int, int]:
        return sockets.facts(self.local)

    @property
    def shown(self) -> str:
        """How it is called when speaking to the user."""
        return self.link.decode(errors="replace")


@contextmanager
def borrow(pidfd: int, pid: int, fd: int, link: bytes, info: fdinfo_parser.Fdinfo) -> Iterator[OpenFile]:
    """Takes a descriptor for descriptor *fd* of process *pid* and gives it back at the end."""
    local = pidfd_getfd(pidfd, fd)
    try:
        yield OpenFile(pid, fd, local, link, info, os.fstat(local))
    finally:
        os.close(local)


def remedy_for(error: OSError) -> str:
    """What helps who cannot open a file of an image: it may be there as it was, and be for somebody else."""
    if error.errno in (errno.EACCES, errno.EPERM) and os.geteuid():
        return f"let user {os.geteuid()} open it, or run crtool as root, without --user"
    return "put the file back, with the rights that it had"
