"""signalfd(2).

The kernel keeps the set of signals that can be read from it. The signals themselves are those of whoever reads.

We read the set from /proc/PID/fdinfo.

We rebuild it by signalfd4(2).

Nothing is lost.
"""

from __future__ import annotations

import os

from crtool.kernel import signalfd
from crtool.procfs.fdinfo_kinds import signalfd as mask_of
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile

__all__ = ["SignalfdRecord", "dump", "recognise", "restore"]

_LINK = b"anon_inode:[signalfd]"


@dataclass(frozen=True)
class SignalfdRecord:
    """A set of signals that can be read."""

    mask: int  # bit n−1 is signal n
    flags: int  # O_* as fcntl(F_GETFL) gives them


def recognise(file: OpenFile) -> bool:
    """Whether *file* is a signalfd."""
    return file.link == _LINK


def dump(file: OpenFile) -> SignalfdRecord:
    """The record of *file*."""
    return SignalfdRecord(mask_of(file.info), file.flags)


def restore(record: SignalfdRecord) -> int:
    """A new signalfd like it."""
    return signalfd.create(record.mask, os.O_CLOEXEC | record.flags & os.O_NONBLOCK)
