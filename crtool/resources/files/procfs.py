"""Files and folders of /proc/PID.

The kernel keeps in an open file below /proc which process it is of, whether that has ended or not, and what was opened
of it; some files (mem, maps) hold on to the address space that the process had then.

We read the path, and compare its inode, which tells another process with the same number.

We rebuild it by opening the path when all processes and threads are born. Of a process that has ended, it is opened of
one that then ends.

Refused: those of a process outside the tree.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from crtool.errors import EnvironmentDiffers, Obstacle
from crtool.kernel.ended import of_ended
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile

__all__ = ["ProcfsRecord", "dump", "obstacle", "recognise", "restore"]

_PATH = re.compile(rb"/proc/(\d+)(?:/task/(\d+))?((?:/.*?)?)(?: \(deleted\))?", re.DOTALL)


@dataclass(frozen=True)
class ProcfsRecord:
    """An open file or folder of a process."""

    pid: int  # 0 if the process has ended
    tid: int  # of a file below its task/: the thread; else 0
    name: bytes  # below the folder of the process or thread, with a slash in front; empty for the folder itself
    flags: int  # O_* as fcntl(F_GETFL) gives them
    position: int  # offset


def recognise(file: OpenFile) -> bool:
    """Whether *file* is below a /proc/PID."""
    return _PATH.fullmatch(file.link) is not None


def _parts(file: OpenFile) -> tuple[int, int, bytes]:
    match = _PATH.fullmatch(file.link)
    assert match is not None
    return int(match[1]), int(match[2] or 0), match[3]


def _has_ended(file: OpenFile) -> bool:
    try:
        there = os.lstat(file.link)
    except OSError:
        return True
    return (there.st_dev, there.st_ino) != (file.stat.st_dev, file.stat.st_ino)


def foreign(file: OpenFile) -> int:
    """The process, living, that *file* is of."""
    return 0 if _has_ended(file) else _parts(file)[0]


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why *file* cannot be saved, if so: what is of a living process can only be told when all are known."""
    _, tid, name = _parts(file)
    if file.stat.st_dev != os.stat("/proc").st_dev:
        return Obstacle(file.pid, where, f"{file.shown} is of the /proc of another PID namespace", "close it first")
    if _has_ended(file) and (tid or name.startswith(b"/task/")):
        return Obstacle(file.pid, where, f"{file.shown} is of a thread that has ended", "close it first")
    return None


def dump(file: OpenFile) -> ProcfsRecord:
    """The record of *file*."""
    pid, tid, name = _parts(file)
    if _has_ended(file):
        pid = 0
    return ProcfsRecord(pid, tid, name, file.flags, file.position)


def name_of(record: ProcfsRecord) -> bytes:
    """Its path, with the numbers of the image."""
    thread = b"/task/%d" % record.tid if record.tid else b""
    return b"/proc/%b%b%b" % (b"%d" % record.pid if record.pid else b"(ended)", thread, record.name)


def restore(record: ProcfsRecord, task_of: Callable[[int], int | None]) -> int:
    """Opens it again. *task_of*: what number a process or thread of the image has here, None for no such."""
    if not record.pid:
        return of_ended(lambda pid: _open(b"/proc/%d%b" % (pid, record.name), record))
    pid, tid = task_of(record.pid), task_of(record.tid) if record.tid else 0
    if pid is None or tid is None:
        raise EnvironmentDiffers(f"an open file of /proc/{record.pid}, which is not in the image")
    return _open(b"/proc/%d%b%b" % (pid, b"/task/%d" % tid if tid else b"", record.name), record)


def _open(path: bytes, record: ProcfsRecord) -> int:
    try:
        fd = os.open(path, (record.flags & ~(os.O_NOFOLLOW if not record.flags & os.O_PATH else 0)) | os.O_CLOEXEC)
    except OSError as error:
        shown = path.decode(errors="replace")
        raise EnvironmentDiffers(f"{shown} cannot be opened: {error.strerror}", "use a kernel that has it") from None
    if record.position and not record.flags & os.O_PATH:
        os.lseek(fd, record.position, os.SEEK_SET)
    return fd
