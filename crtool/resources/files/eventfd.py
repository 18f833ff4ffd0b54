"""eventfd(2).

The kernel keeps a 64-bit counter and whether it counts as a semaphore.

We read both from /proc/PID/fdinfo.

We rebuild it by eventfd(2) and, for what does not fit into its first argument, a write.

Lost: whether it is a semaphore, on a kernel that does not show it.
"""

from __future__ import annotations

import os

from crtool.errors import EnvironmentDiffers
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile

__all__ = ["EventfdRecord", "dump", "recognise", "restore"]

_LINK = b"anon_inode:[eventfd]"
_EFD_SEMAPHORE = 1


@dataclass(frozen=True)
class EventfdRecord:
    """An event counter."""

    count: int
    semaphore: bool
    flags: int  # O_* as fcntl(F_GETFL) gives them


def recognise(file: OpenFile) -> bool:
    """Whether *file* is an eventfd."""
    return file.link == _LINK


def dump(file: OpenFile) -> EventfdRecord:
    """The record of *file*."""
    return EventfdRecord(
        count=int(file.info.get("eventfd-count") or b"0", 16),
        semaphore=int(file.info.get("eventfd-semaphore") or b"0") != 0,
        flags=file.flags,
    )


def restore(record: EventfdRecord) -> int:
    """A new eventfd like it."""
    flags = os.EFD_CLOEXEC | (record.flags & os.O_NONBLOCK) | (_EFD_SEMAPHORE if record.semaphore else 0)
    first = min(record.count, 0xFFFF_FFFF)
    try:
        fd = os.eventfd(first, flags)
    except OSError as error:
        raise EnvironmentDiffers(f"eventfd: {error.strerror}") from None
    if record.count > first:
        os.write(fd, (record.count - first).to_bytes(8, "little"))
    return fd
