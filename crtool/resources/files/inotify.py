"""inotify(7).

The kernel keeps the watches of an instance, each with its number, the inode and what is watched for; and the events
that have not been read.

We read the watches from /proc/PID/fdinfo, which shows inodes by their file handles: so they are found under whatever
name they have now, also without any.

We rebuild the instance when all files are there, with the numbers of the watches (INOTIFY_IOC_SETNEXTWD).

Lost: events that were not read, with a warning (they could only be read by taking them away from the program); whether
numbers above the highest had been used. Refused: watches in filesystems that do not tell which file they mean.
"""

from __future__ import annotations

import fcntl
import os
import termios
from collections.abc import Callable
from contextlib import suppress

from crtool.errors import EnvironmentDiffers, Obstacle
from crtool.kernel import inotify
from crtool.procfs.fdinfo_kinds import inotify as watches_of
from crtool.record import dataclass, replace
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.watched import Places, watchable

__all__ = ["InotifyRecord", "WatchRecord", "dump", "obstacle", "recognise", "restore"]

_LINK = (b"anon_inode:inotify", b"anon_inode:[inotify]")
# What inotify_add_watch takes of what fdinfo shows: events, IN_EXCL_UNLINK and IN_ONESHOT.
_SETTABLE = 0xFFF | 0x04000000 | 0x80000000


@dataclass(frozen=True)
class WatchRecord:
    """One watch."""

    number: int
    mask: int  # IN_* bits
    inode: int  # index of what is watched among the image's inodes


@dataclass(frozen=True)
class InotifyRecord:
    """An instance."""

    flags: int  # O_* as fcntl(F_GETFL) gives them
    watches: tuple[WatchRecord, ...]  # by their numbers


def recognise(file: OpenFile) -> bool:
    """Whether *file* is an inotify instance."""
    return file.link in _LINK


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why the instance cannot be saved, if so."""
    with Places() as places:
        for watch in watches_of(file.info):
            try:
                os.close(places.open(watch.device, watch.handle_type, watch.handle))
            except PermissionError:
                cause = f"inotify watch {watch.wd} is of inode {watch.inode}, which only privilege can find"
                return Obstacle(file.pid, where, cause, "run crtool as root, or with CAP_DAC_READ_SEARCH")
            except OSError as error:
                cause = f"inotify watch {watch.wd} is of inode {watch.inode}, which cannot be found ({error.strerror})"
                return Obstacle(file.pid, where, cause, "remove the watch, or watch a file on another filesystem")
    return None


def dump(
    file: OpenFile, inode: Callable[[OpenFile], int], lost: Callable[[OpenFile, str], None]
) -> InotifyRecord:
    """The record of *file*. *inode*: gives the index of what a descriptor of ours refers to."""
    unread = int.from_bytes(fcntl.ioctl(file.local, termios.FIONREAD, bytes(4)), "little")
    if unread:
        lost(file, f"what inotify had to tell and nobody has read ({unread} bytes)")
    watches = []
    with Places() as places:
        for watch in sorted(watches_of(file.info), key=lambda watch: watch.wd):
            fd = places.open(watch.device, watch.handle_type, watch.handle)
            try:
                link = os.fsencode(os.readlink(f"/proc/self/fd/{fd}"))
                index = inode(replace(file, local=fd, link=link, stat=os.fstat(fd)))
            finally:
                os.close(fd)
            watches.append(WatchRecord(watch.wd, watch.mask, index))
    return InotifyRecord(file.flags, tuple(watches))


def restore(record: InotifyRecord, path_of: Callable[[int], bytes]) -> int:
    """A new instance with the same watches. *path_of*: a path by which an inode of the image can be opened."""
    fd = inotify.create(os.O_CLOEXEC | record.flags & os.O_NONBLOCK)
    for watch in record.watches:
        path = path_of(watch.inode)
        with suppress(OSError):  # a kernel that cannot: the number shows below
            inotify.set_next(fd, watch.number)
        try:
            with watchable(path) as here:
                number = inotify.add_watch(fd, here, watch.mask & _SETTABLE)
        except OSError as error:
            os.close(fd)
            shown = path.decode(errors="replace")
            remedy = "put it back, or raise /proc/sys/fs/inotify/max_user_watches"
            raise EnvironmentDiffers(f"{shown} cannot be watched: {error.strerror}", remedy) from None
        if number != watch.number:
            os.close(fd)
            cause = f"inotify watch {watch.number} got number {number}"
            raise EnvironmentDiffers(cause, "use a kernel with INOTIFY_IOC_SETNEXTWD (CONFIG_CHECKPOINT_RESTORE)")
    return fd
