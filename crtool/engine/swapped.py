"""Whether what stands at a path is the file that stood there at the checkpoint: type, size, inode, owner, and mode.

Times tell nothing of that: whoever owns a file sets its mtime at will (utimensat(2)). The numbers of the device and of
the inode, and the ctime, nobody can set.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from crtool.resources.files.inodes import PathRecord

__all__ = ["changes", "differences", "is_same_inode"]

_MADE_BY_THE_KERNEL = (b"/proc/", b"/sys/", b"/dev/pts/")  # inodes come, go and change hands there by themselves


def changes(record: PathRecord, now: os.stat_result) -> tuple[str | None, str | None]:
    """Compares with what stands at the recorded path now: (what makes it unusable, what merely differs)."""
    name = record.path.decode(errors="replace")
    if stat.S_IFMT(now.st_mode) != stat.S_IFMT(record.mode):
        return f"{name} is now a file of another type", None
    if now.st_rdev != record.rdev:
        return f"{name} is now another device", None
    if stat.S_ISREG(record.mode) and now.st_size != record.size:
        return None, f"{name} had {record.size} bytes and has {now.st_size} now"
    return None, None


def differences(record: PathRecord, now: os.stat_result, *, content_is_known: bool = False) -> Iterator[str]:
    """What of that is another than it was, in words. *content_is_known*: of a regular file, to be what it was."""
    if record.path.startswith(_MADE_BY_THE_KERNEL):
        return
    name = record.path.decode(errors="replace")
    if stat.S_ISREG(record.mode) and not content_is_known and not is_same_inode(record, now):
        size = " of the same size" if now.st_size == record.size else ""
        yield f"{name} is not the file that it was, but another one{size}"
    if stat.S_ISCHR(record.mode) or stat.S_ISBLK(record.mode):
        return  # a terminal belongs to who has logged in; udev gives devices their owners at each boot
    if (now.st_uid, now.st_gid) != (record.uid, record.gid):
        yield f"{name} belonged to user {record.uid}, group {record.gid}, and to {now.st_uid}, {now.st_gid} now"
    if (mode := stat.S_IMODE(now.st_mode)) != (before := stat.S_IMODE(record.mode)):
        yield f"{name} had mode {before:04o} and has {mode:04o} now"


def is_same_inode(record: PathRecord, now: os.stat_result) -> bool:
    """Whether that is the recorded inode, on a device that may have got another number since."""
    if now.st_ino != record.inode:
        return False
    # A mount without a device of its own (tmpfs, btrfs, overlay, NFS: major number 0) has a number that is free when
    # it is mounted, and a disk one by the order in which it is found. The ctime tells that it is the same inode then,
    # unless that has been written to since, which only of the former is taken for granted.
    unnamed = os.major(now.st_dev) == os.major(record.device) == 0
    return now.st_dev == record.device or unnamed or now.st_ctime_ns == record.ctime_ns
