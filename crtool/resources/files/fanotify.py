"""fanotify(7).

The kernel keeps the flags of a group; its marks, each with an inode, a mount or a filesystem, what is watched for and
what is ignored; and the events that have not been read.

We read flags and marks from /proc/PID/fdinfo, which shows inodes by their file handles (as for inotify), mounts by
their numbers and filesystems by their devices.

We rebuild the group when all files are there, and with the rights of its process: without CAP_SYS_ADMIN a group shows
less of others.

Lost: events that were not read, with a warning (they could only be read by taking them away from the program). Refused:
groups that decide about the accesses of others (FAN_OPEN_PERM…), since everybody who opens one of those files, crtool
not excepted, waits for a program that stands still; marks of mounts that are not in crtool's mount namespace, and those
of filesystems that do not tell which file they mean.
"""

from __future__ import annotations

import fcntl
import os
import termios
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

from crtool.abi import capability
from crtool.abi import fanotify as abi
from crtool.errors import EnvironmentDiffers, Obstacle
from crtool.kernel import fanotify
from crtool.procfs import mountinfo
from crtool.procfs import status as status_file
from crtool.procfs.error import ProcfsError
from crtool.procfs.fdinfo_kinds import FanotifyMark
from crtool.procfs.fdinfo_kinds import fanotify as group_of
from crtool.procfs.mountinfo import Mount
from crtool.procfs.read import read
from crtool.record import dataclass, replace
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.watched import Places, watchable

__all__ = ["FanotifyRecord", "MarkRecord", "dump", "obstacle", "recognise", "restore"]

_LINK = (b"anon_inode:[fanotify]", b"anon_inode:fanotify")
_ADMIN = capability.bit(capability.NAMES.index("CAP_SYS_ADMIN"))


@dataclass(frozen=True)
class MarkRecord:
    """One mark."""

    flags: int  # FAN_MARK_*: of what it is, and how
    mask: int  # FAN_* events
    ignored: int  # FAN_* events
    inode: int  # index of what is watched among the image's inodes, −1 if it is a mount or a filesystem
    place: bytes  # a mount point of that
    fs_type: str  # of the filesystem there


@dataclass(frozen=True)
class FanotifyRecord:
    """A group."""

    flags: int  # O_* as fcntl(F_GETFL) gives them
    group_flags: int  # FAN_* of fanotify_init(2)
    event_flags: int  # O_* of the descriptors that it gives
    privileged: bool  # its process has CAP_SYS_ADMIN
    marks: tuple[MarkRecord, ...]


def recognise(file: OpenFile) -> bool:
    """Whether *file* is a fanotify group."""
    return file.link in _LINK


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why the group cannot be saved, if so."""
    try:
        marks = group_of(file.info).marks
    except ProcfsError as error:
        cause = f"a fanotify group with a mark that crtool does not know ({error.message}) cannot be saved"
        return Obstacle(file.pid, where, cause, "remove the mark first")
    if any((mark.mask | mark.ignored) & abi.FAN_PERMISSIONS for mark in marks):
        cause = "a fanotify group that decides about the accesses of others cannot be saved: crtool would wait for it"
        return Obstacle(file.pid, where, cause, "end the program that decides, or let it only watch")
    with Places() as places:
        for mark in marks:
            try:
                if mark.inode is not None:
                    os.close(places.open(mark.device or 0, mark.handle_type, mark.handle))
                else:
                    _mount_of(mark, places)
            except PermissionError:
                cause = f"a fanotify mark is of {_shown(mark)}, which only privilege can find"
                return Obstacle(file.pid, where, cause, "run crtool as root, or with CAP_DAC_READ_SEARCH")
            except OSError as error:
                cause = f"a fanotify mark is of {_shown(mark)}, which cannot be found ({error.strerror})"
                return Obstacle(file.pid, where, cause, "remove the mark first")
    return None


def _shown(mark: FanotifyMark) -> str:
    if mark.inode is not None:
        return f"inode {mark.inode}"
    if mark.mount is not None:
        return f"mount {mark.mount}"
    device = mark.device or 0
    return f"filesystem {os.major(device)}:{os.minor(device)}"


def _mount_of(mark: FanotifyMark, places: Places) -> Mount:
    """The mount that *mark* is of, or one with its filesystem; raises OSError."""
    for mount in places.mounts:
        if mark.mount == mount.id or (mark.mount is None and mark.device == os.makedev(mount.major, mount.minor)):
            return mount
    raise FileNotFoundError(0, "it is not in the mount namespace of crtool")


def dump(
    file: OpenFile, inode: Callable[[OpenFile], int], lost: Callable[[OpenFile, str], None]
) -> FanotifyRecord:
    """The record of *file*. *inode*: gives the index of what a descriptor of ours refers to."""
    unread = int.from_bytes(fcntl.ioctl(file.local, termios.FIONREAD, bytes(4)), "little")
    if unread:
        lost(file, f"what fanotify had to tell and nobody has read ({unread} bytes)")
    group = group_of(file.info)
    privileged = bool(status_file.later(read(file.pid, "status")).capabilities.effective & _ADMIN)
    with Places() as places:
        marks = tuple(_mark(mark, file, inode, places) for mark in group.marks)
    return FanotifyRecord(file.flags, group.flags, group.event_flags, privileged, marks)


def _mark(mark: FanotifyMark, file: OpenFile, inode: Callable[[OpenFile], int], places: Places) -> MarkRecord:
    if mark.inode is None:
        mount = _mount_of(mark, places)
        kind = abi.FAN_MARK_FILESYSTEM if mark.mount is None else abi.FAN_MARK_MOUNT
        return MarkRecord(kind | mark.flags, mark.mask, mark.ignored, -1, mount.mount_point, mount.fs_type)
    fd = places.open(mark.device or 0, mark.handle_type, mark.handle)
    try:
        link = os.fsencode(os.readlink(f"/proc/self/fd/{fd}"))
        index = inode(replace(file, local=fd, link=link, stat=os.fstat(fd)))
    finally:
        os.close(fd)
    return MarkRecord(abi.FAN_MARK_INODE | mark.flags, mark.mask, mark.ignored, index, b"", "")


def restore(record: FanotifyRecord, path_of: Callable[[int], bytes]) -> int:
    """A new group with the same marks. *path_of*: a path by which an inode of the image can be opened."""
    flags = record.group_flags & ~abi.FAN_NONBLOCK | abi.FAN_CLOEXEC
    if record.flags & os.O_NONBLOCK:
        flags |= abi.FAN_NONBLOCK
    rights: AbstractContextManager[None] = nullcontext() if record.privileged else fanotify.without_capabilities()
    try:
        with rights:
            fd = fanotify.create(flags, record.event_flags)
    except OSError as error:
        cause = f"a fanotify group cannot be made: {error.strerror}"
        raise EnvironmentDiffers(cause, "run crtool as root, on a kernel with fanotify") from None
    for mark in record.marks:
        path = mark.place if mark.inode < 0 else path_of(mark.inode)
        try:
            _require_mount(mark)
            with watchable(path) as here:
                for how, mask in _calls(mark):
                    fanotify.mark(fd, abi.FAN_MARK_ADD | how, mask, here)
        except OSError as error:
            os.close(fd)
            cause = f"{path.decode(errors='replace')} cannot be watched: {error.strerror}"
            raise EnvironmentDiffers(cause, "put it back, or run crtool as root") from None
    return fd


def _require_mount(mark: MarkRecord) -> None:
    """OSError if a mark of a mount or a filesystem finds another one in its place."""
    if mark.inode >= 0:
        return
    mounts = mountinfo.parse(read(os.getpid(), "mountinfo"))
    if not any(mount.mount_point == mark.place and mount.fs_type == mark.fs_type for mount in mounts):
        raise FileNotFoundError(0, f"no filesystem of type {mark.fs_type} is mounted there")


def _calls(mark: MarkRecord) -> Iterator[tuple[int, int]]:
    """The flags and masks of the calls that make a mark; what it ignores is a second one."""
    kind = mark.flags & (abi.FAN_MARK_MOUNT | abi.FAN_MARK_FILESYSTEM | abi.FAN_MARK_EVICTABLE)
    if mark.mask:
        yield kind, mark.mask
    if mark.ignored:
        how = mark.flags & (abi.FAN_MARK_IGNORED_SURV_MODIFY | abi.FAN_MARK_IGNORE)
        yield kind | how | (0 if how & abi.FAN_MARK_IGNORE else abi.FAN_MARK_IGNORED_MASK), mark.ignored
