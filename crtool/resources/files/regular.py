"""Regular files, directories, symbolic links, block devices, and character devices without state.

The kernel keeps an open file description: what was opened, the O_* flags, the offset.

We read /proc/PID/fdinfo (flags, pos); what it refers to is a record of its own (:mod:`.inodes`).

We rebuild it by open(2) of the path, or of what was made for a deleted file, with the same flags, and lseek(2).
Flags that act once (O_CREAT, O_EXCL, O_TRUNC, O_NOCTTY) are not kept by the kernel either.

Advice about reading (posix_fadvise(2)), which the kernel tells nobody, is read in its memory
(:mod:`crtool.kernel.read_ahead`).

Refused: devices that hold state. Lost: that advice, where the caller may not look there, or the file system lies over
another.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable

from crtool.abi.fcntl import F_GET_RW_HINT, F_SET_RW_HINT
from crtool.errors import EnvironmentDiffers, Obstacle
from crtool.kernel import read_ahead
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile, remedy_for

__all__ = ["RegularRecord", "another", "be_ready", "dump", "obstacle", "recognise", "restore"]

# Character devices that any open gives the same: major 1 (Documentation/admin-guide/devices.txt).
_STATELESS = {(1, 3): "null", (1, 5): "zero", (1, 7): "full", (1, 8): "random", (1, 9): "urandom"}
_O_TMPFILE = 0o20000000
# What is read there is gone, or what is open there holds on to something.
_UNREAL = (b"/proc/kmsg", b"/sys/kernel/tracing/", b"/sys/kernel/debug/", b"/sys/fs/bpf/")


@dataclass(frozen=True)
class RegularRecord:
    """An open file description of something that has an offset, or of a path as such (O_PATH)."""

    inode: int  # index into the image's inodes
    flags: int  # O_* as fcntl(F_GETFL) gives them
    position: int  # offset in bytes
    write_hint: int  # RWH_WRITE_LIFE_* of the inode (F_SET_RW_HINT), 0 if it was not set
    advice: int = 0  # what posix_fadvise(2) was told of it: bits of crtool.kernel.read_ahead


def recognise(file: OpenFile) -> bool:
    """Whether this module is the one that saves *file*."""
    mode = file.stat.st_mode
    if file.flags & os.O_PATH:
        return True
    if stat.S_ISCHR(mode):
        return (os.major(file.stat.st_rdev), os.minor(file.stat.st_rdev)) in _STATELESS
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why *file*, which this module recognises, cannot be saved all the same."""
    if file.link.startswith(_UNREAL) and stat.S_ISREG(file.stat.st_mode):
        cause = f"{file.shown} is no file but a queue or an object of the kernel"
        return Obstacle(file.pid, where, cause, "close it first")
    return None


def dump(file: OpenFile, inode: int) -> RegularRecord:
    """The record of *file*; *inode* is what it refers to."""
    return RegularRecord(inode, file.flags, file.position, _write_hint(file), _advice(file))


def another(record: RegularRecord, flags: int, position: int) -> RegularRecord:
    """That of another open file of the same path, and of which the same was told."""
    return RegularRecord(record.inode, flags, position, record.write_hint, record.advice)


def be_ready(file: OpenFile) -> None:
    """Prepares for what will be asked of *file* when its process stands still."""
    if _is_read(file):
        read_ahead.prepare()


def _is_read(file: OpenFile) -> bool:
    """Whether it makes a difference what was told of it."""
    return stat.S_ISREG(file.stat.st_mode) and not file.flags & os.O_PATH and file.flags & os.O_ACCMODE != os.O_WRONLY


def _advice(file: OpenFile) -> int:
    if _is_read(file) and (kept := read_ahead.prepare()) is not None:
        return kept.of(file.local)
    return 0


def _write_hint(file: OpenFile) -> int:
    if file.flags & os.O_PATH or not stat.S_ISREG(file.stat.st_mode):
        return 0
    return int.from_bytes(fcntl.fcntl(file.local, F_GET_RW_HINT, bytes(8)), "little")


def restore(record: RegularRecord, path: bytes, shown: str, warn: Callable[[str], None]) -> int:
    """Opens *path* as it was open; *shown* is its name for the user."""
    flags = record.flags & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC)
    if not flags & os.O_PATH:
        flags &= ~os.O_NOFOLLOW  # it has served; what was made anew for a deleted file is reached by a link
    if flags & _O_TMPFILE:  # O_TMPFILE is this bit and O_DIRECTORY: what was opened was the folder
        flags &= ~os.O_TMPFILE
    try:
        fd = os.open(path, flags | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise EnvironmentDiffers(f"{shown} cannot be opened: {error.strerror}", remedy_for(error)) from None
    if record.position and not flags & os.O_PATH:
        os.lseek(fd, record.position, os.SEEK_SET)
    if record.advice:
        read_ahead.advise(fd, record.advice)
    if record.write_hint:
        try:
            fcntl.fcntl(fd, F_SET_RW_HINT, record.write_hint.to_bytes(8, "little"))
        except OSError as error:
            warn(f"{shown}: the hint about writes (F_SET_RW_HINT) is lost: {error.strerror}")
    return fd
