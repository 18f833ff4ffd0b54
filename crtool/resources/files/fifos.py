"""What was unread in FIFOs that have a name, at a restart.

Whoever opens the name can read it, so it is written when nothing else is left that may fail.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Sequence

from crtool.resources.files import pipes
from crtool.resources.files.pipes import PipeEndRecord, PipeRecord

__all__ = ["Fifos"]


class Fifos:
    """FIFOs that are to be filled."""

    def __init__(self, records: Sequence[PipeRecord], rings: Sequence[tuple[int, ...]]) -> None:
        """*rings*: descriptors of all *records*, which the caller may close."""
        self._waiting = {
            index: (record, os.dup(ring[0]))
            for index, (record, ring) in enumerate(zip(records, rings, strict=True))
            if record.inode >= 0 and record.unread
        }

    def fill(self, descriptions: Iterable[tuple[object, int]]) -> None:
        """Fills them. *descriptions*: records of open files, with descriptors of ours. Nobody is told by a signal
        (O_ASYNC) of what was there before.
        """
        told = [
            (fd, record.flags & ~os.O_ACCMODE)
            for record, fd in descriptions
            if isinstance(record, PipeEndRecord) and record.pipe in self._waiting and record.flags & os.O_ASYNC
        ]
        for fd, flags in told:
            fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~os.O_ASYNC)
        for record, fd in self._waiting.values():
            pipes.fill(record, fd)
        for fd, flags in told:
            fcntl.fcntl(fd, fcntl.F_SETFL, flags)

    def close(self) -> None:
        """Closes what is held here, so that the ends are the tree's alone."""
        while self._waiting:
            os.close(self._waiting.popitem()[1][1])
