"""pidfd_open(2).

The kernel keeps which process, or thread (PIDFD_THREAD), it refers to; a process that has ended and been waited for is
still one.

We read the PID from /proc/PID/fdinfo, and of a process when it was started, since its number may be another's one day.

We rebuild it by pidfd_open(2) when all processes and threads are born. For a process outside the tree that has ended
meanwhile, or had ended then, it refers to one that has ended.

Lost: how a process has ended that had been waited for (PIDFD_GET_INFO). Refused: a process that cannot be seen from
here.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from crtool.errors import Obstacle, TargetDied
from crtool.kernel.ended import of_ended
from crtool.kernel.process import open_pidfd
from crtool.procfs import stat as stat_file
from crtool.procfs.fdinfo_kinds import pidfd as process_of
from crtool.procfs.read import read
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile

__all__ = ["PidfdRecord", "dump", "obstacle", "recognise", "restore"]

_LINK = (b"anon_inode:[pidfd]", b"pidfd:")
_KEPT = os.O_NONBLOCK | os.O_EXCL  # PIDFD_NONBLOCK, PIDFD_THREAD


@dataclass(frozen=True)
class PidfdRecord:
    """A descriptor of a process."""

    pid: int  # PID or TID, 0 if it has ended and been waited for
    start_time: int  # when it was started, in clock ticks since the boot
    flags: int  # O_* as fcntl(F_GETFL) gives them: O_NONBLOCK, and O_EXCL for a thread


def recognise(file: OpenFile) -> bool:
    """Whether *file* is a pidfd."""
    return file.link.startswith(_LINK)


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why *file* cannot be saved, if so."""
    if process_of(file.info).pid == 0:
        return Obstacle(file.pid, where, "a pidfd of a process in another PID namespace", "close it first")
    return None


def dump(file: OpenFile) -> PidfdRecord:
    """The record of *file*."""
    pid = process_of(file.info).pid
    start = stat_file.parse(read(pid, "stat")).starttime if pid > 0 else 0
    return PidfdRecord(max(pid, 0), start, file.flags)


def restore(record: PidfdRecord, task_of: Callable[[int], int | None]) -> int:
    """A new pidfd like it. *task_of*: what number a process or thread of the image has here, None for no such."""
    flags = record.flags & _KEPT
    number = task_of(record.pid) or (record.pid if _still_there(record) else None)
    if number is None:
        return of_ended(lambda pid: open_pidfd(pid, flags))
    return open_pidfd(number, flags)


def _still_there(record: PidfdRecord) -> bool:
    """Whether the process, which is not of the image, is still the one that it was."""
    if not record.pid:
        return False
    try:
        return stat_file.parse(read(record.pid, "stat")).starttime == record.start_time
    except TargetDied:
        return False
