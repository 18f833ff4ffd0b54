"""Whether crtool may have a userfaultfd(2) that hears of forks; without capabilities nobody may."""

from __future__ import annotations

import fcntl
import os

from crtool.abi import userfaultfd as abi
from crtool.kernel.syscall import syscall

__all__ = ["probe"]


def probe(features: int) -> None:
    """OSError if a userfaultfd with UFFD_FEATURE_* *features* cannot be had; it is closed at once."""
    fd = syscall("userfaultfd", os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, abi.UFFDIO_API, abi.API.pack(abi.UFFD_API, features, 0))
    finally:
        os.close(fd)
