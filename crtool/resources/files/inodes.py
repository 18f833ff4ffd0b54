"""What open files and mappings refer to: files by their path, and contents that have no path any more.

The kernel keeps an inode for everything that can be opened or mapped. One that still has a name need not be saved; of a
deleted file, of shared anonymous memory and of a memfd the content is nowhere else.

We look at a descriptor borrowed from the process (or opened through /proc/PID/map_files): fstat(2), the path that
/proc shows, and SEEK_DATA for the parts that are not holes.

We rebuild a named file by opening its path, after comparing what it is now with what it was; if the image has its
content, that can be put in its place. A deleted one is made as a new file that is filled, under its old name if that is
free, and deleted again; shared memory as new shared memory. Each is made once, so that all who shared it do so again.

Refused: contents on which a hard link with an unknown name still hangs come along as a copy, with a warning. Extended
attributes of deleted files are lost.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from crtool.abi.fcntl import F_GET_SEALS, MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_EXEC, MFD_HUGETLB
from crtool.errors import EnvironmentDiffers, TargetError
from crtool.kernel import memfd
from crtool.kernel.resolve import Diverted, resolve
from crtool.record import dataclass

__all__ = [
    "ContentRecord",
    "DeletedRecord",
    "InodeRecord",
    "KeptRecord",
    "MemfdRecord",
    "MountedRecord",
    "PathRecord",
    "RingMemoryRecord",
    "SharedMemoryRecord",
    "Version",
    "data_extents",
    "describe",
    "is_segment",
    "kept",
    "make",
    "recorded_version",
    "version_of",
]

_DELETED = b" (deleted)"
_ANONYMOUS = b"/dev/zero"
_HUGE = b"/anon_hugepage (deleted)"
_MEMFD = b"/memfd:"
_RINGS = (b"anon_inode:[io_uring]", b"socket:[")  # of sockets only those of packet sockets are asked for
_SEGMENT = re.compile(rb"/SYSV[0-9a-f]{8} \(deleted\)")  # System V shared memory
_UNREAL = (b"/proc/", b"/sys/")  # what is read there is made while it is read
_UNNAMED = re.compile(rb"#\d+")  # what /proc calls a file that was opened with O_TMPFILE


@dataclass(frozen=True)
class ContentRecord:
    """Content that comes along in the image's data area."""

    size: int  # bytes, with holes
    extents: tuple[tuple[int, int], ...]  # parts that are not holes: offset, length; multiples of a page but the last
    data: int  # offset of the first of them in the data area; the others follow, each aligned to a page


@dataclass(frozen=True)
class KeptRecord:
    """What it takes to put a file back under its name."""

    uid: int  # who is to own it
    gid: int
    content: ContentRecord


@dataclass(frozen=True)
class PathRecord:
    """A file that has a name."""

    path: bytes  # as crtool sees it
    device: int  # st_dev
    inode: int  # st_ino
    mode: int  # st_mode, with the type
    uid: int  # st_uid
    gid: int  # st_gid
    rdev: int  # st_rdev of a device
    size: int  # bytes
    mtime_ns: int  # last change of the content
    ctime_ns: int  # last change of anything about the inode
    digest: bytes = b""  # SHA-256 of a program or library, if there was one
    kept: KeptRecord | None = None  # only if that was asked for (checkpoint --files content)


@dataclass(frozen=True)
class MountedRecord:
    """A file or folder that has a name in a mount namespace of the tree, and none that crtool could find it by."""

    path: bytes  # as who lives there sees it
    member: int  # PID of the first of them, as of ProcessRecord.pids[0]
    mode: int  # st_mode, with the type
    size: int  # bytes


@dataclass(frozen=True)
class DeletedRecord:
    """A file that has no name any more."""

    path: bytes  # the name that it had
    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    content: ContentRecord


@dataclass(frozen=True)
class SharedMemoryRecord:
    """Shared anonymous memory (MAP_SHARED | MAP_ANONYMOUS), or the content of a System V segment."""

    content: ContentRecord
    huge_page_size: int = 0  # bytes, 0 for ordinary pages, and for a segment


@dataclass(frozen=True)
class MemfdRecord:
    """A memfd (memfd_create(2))."""

    name: bytes  # without the prefix "memfd:"
    mode: int
    seals: int  # F_GET_SEALS
    huge_page_size: int  # bytes, 0 for ordinary pages
    content: ContentRecord


@dataclass(frozen=True)
class RingMemoryRecord:
    """What a ring of io_uring or of a packet socket shares with its program. The open file's record has its content."""

    content: ContentRecord  # always empty


Version = tuple[int, int, int, int, int]
"""A file with a certain content, without a look at that: device, inode, size, mtime and ctime in ns."""

InodeRecord = PathRecord | MountedRecord | DeletedRecord | SharedMemoryRecord | MemfdRecord | RingMemoryRecord

Reserve = Callable[[int], int]  # bytes → offset in the data area


def describe(
    fd: int, link: bytes, info: os.stat_result, reserve: Reserve, rooms: Iterable[tuple[int, int]] = ()
) -> tuple[InodeRecord, str | None]:
    """The record of what *fd* (of ours) refers to, and a warning if something about it is lost.

    *link* is the path that /proc shows for it, *info* what fstat(2) does. The content of what has no name is to be
    copied to the place that *reserve* gives, in the order of :func:`parts`. *rooms*: the mount namespaces that the tree
    has made, each by a living thread in it, and its first member.
    """
    if link.startswith(_RINGS):
        return RingMemoryRecord(ContentRecord(0, (), 0)), None
    if link.startswith(_MEMFD):
        return _memfd_record(fd, link, info, reserve), None
    if (link in (_ANONYMOUS, _ANONYMOUS + _DELETED, _HUGE) or is_segment(link)) and stat.S_ISREG(info.st_mode):
        return SharedMemoryRecord(_content(fd, info, reserve), os.fstatvfs(fd).f_bsize if link == _HUGE else 0), None
    if (name := _current_name(link, info)) is not None:
        record = PathRecord(
            path=name,
            device=info.st_dev,
            inode=info.st_ino,
            mode=info.st_mode,
            uid=info.st_uid,
            gid=info.st_gid,
            rdev=info.st_rdev,
            size=info.st_size,
            mtime_ns=info.st_mtime_ns,
            ctime_ns=info.st_ctime_ns,
        )
        return record, None
    path = link.removesuffix(_DELETED)
    warning = None
    if path == link and info.st_nlink:
        if stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode):
            for door, member in rooms:
                if _is(b"/proc/%d/root%s" % (door, path), info):
                    return MountedRecord(path, member, info.st_mode, info.st_size), None
        raise TargetError(
            f"{path.decode(errors='replace')} is not to be found there by crtool: it lies in another mount namespace, "
            "or beneath another mount",
            "run crtool in the mount namespace of the process",
        )
    if info.st_nlink:
        shown = path.decode(errors="replace")
        warning = f"{shown} is deleted but has another hard link somewhere: a copy of it comes back"
    deleted = DeletedRecord(
        path=path,
        mode=info.st_mode,
        uid=info.st_uid,
        gid=info.st_gid,
        atime_ns=info.st_atime_ns,
        mtime_ns=info.st_mtime_ns,
        content=_content(fd, info, reserve) if stat.S_ISREG(info.st_mode) else ContentRecord(0, (), 0),
    )
    return deleted, warning


def is_segment(link: bytes) -> bool:
    """Whether that is what /proc shows for a System V segment."""
    return _SEGMENT.fullmatch(link) is not None


def kept(fd: int, record: PathRecord, reserve: Reserve) -> KeptRecord | None:
    """What it takes to put back the file that *fd* (of ours) refers to; None if it has no content of its own."""
    if not stat.S_ISREG(record.mode) or record.path.startswith(_UNREAL):
        return None
    return KeptRecord(record.uid, record.gid, _content(fd, os.fstat(fd), reserve))


def _current_name(link: bytes, info: os.stat_result) -> bytes | None:
    """A path under which the file can be found now: the one in *link*, or another name in the same folder."""
    if _is(link, info):
        return link
    path = link.removesuffix(_DELETED)
    if info.st_nlink and not stat.S_ISDIR(info.st_mode):
        folder = os.path.dirname(path)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.inode() == info.st_ino and _is(entry.path, info):
                        return entry.path
        except OSError:
            return None
    return None


def _is(path: bytes, info: os.stat_result) -> bool:
    try:
        there = os.lstat(path)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (info.st_dev, info.st_ino)


def _memfd_record(fd: int, link: bytes, info: os.stat_result, reserve: Reserve) -> MemfdRecord:
    source = reopen(fd, os.O_RDONLY)
    try:
        seals = fcntl.fcntl(source, F_GET_SEALS)
        huge = size if (size := os.fstatvfs(source).f_bsize) > 4096 else 0
    finally:
        os.close(source)
    return MemfdRecord(
        name=link.removeprefix(_MEMFD).removesuffix(_DELETED),
        mode=info.st_mode,
        seals=seals,
        huge_page_size=huge,
        content=_content(fd, info, reserve),
    )


def _content(fd: int, info: os.stat_result, reserve: Reserve) -> ContentRecord:
    extents = tuple(data_extents(fd, info.st_size))
    room = sum(-(-length // 4096) * 4096 for _, length in extents)
    return ContentRecord(info.st_size, extents, reserve(room) if room else 0)


def data_extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Parts of a file that are not holes (lseek(2) with SEEK_DATA and SEEK_HOLE), widened to whole pages."""
    source = reopen(fd, os.O_RDONLY)
    try:
        position = 0
        while position < size:
            try:
                start = os.lseek(source, position, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole is left
                return
            end = os.lseek(source, start, os.SEEK_HOLE)
            start -= start % 4096
            end = min(-(-end // 4096) * 4096, size)
            yield start, end - start
            position = end
    finally:
        os.close(source)


def reopen(fd: int, flags: int) -> int:
    """A new open file description for what *fd* refers to; TargetError if the file's mode does not let crtool."""
    try:
        return os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC)
    except PermissionError:
        name = os.readlink(f"/proc/self/fd/{fd}")
        raise TargetError(f"{name} may not be opened again", "run crtool as root, or as the file's owner") from None


def version_of(info: os.stat_result) -> Version:
    """Which version of which file that is."""
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def recorded_version(record: PathRecord) -> Version:
    """The same, of the file as it was."""
    return (record.device, record.inode, record.size, record.mtime_ns, record.ctime_ns)


def make(record: InodeRecord, fill: Callable[[int, ContentRecord], None]) -> int:
    """A new descriptor for what had no name: the deleted file or shared memory, filled by *fill*. Not for
    PathRecord.
    """
    if isinstance(record, SharedMemoryRecord):
        fd = memfd.shared_anonymous(max(record.content.size, 4096), record.huge_page_size)
        fill(fd, record.content)
        return fd
    if isinstance(record, MemfdRecord):
        flags = MFD_CLOEXEC | MFD_ALLOW_SEALING
        if record.huge_page_size:
            flags |= MFD_HUGETLB | (record.huge_page_size.bit_length() - 1) << 26
        fd = memfd.create(record.name, flags | (MFD_EXEC if record.mode & 0o111 else 0))
        os.ftruncate(fd, record.content.size)
        fill(fd, record.content)
        os.fchmod(fd, stat.S_IMODE(record.mode))
        memfd.seal(fd, record.seals)
        return fd
    if isinstance(record, DeletedRecord):
        return _make_deleted(record, fill)
    raise TypeError(record)


def _make_deleted(record: DeletedRecord, fill: Callable[[int, ContentRecord], None]) -> int:
    folder = _folder_for(record)
    try:
        return _made_within(folder, record, fill)
    finally:
        os.close(folder)


def _folder_for(record: DeletedRecord) -> int:
    """A descriptor (O_PATH) of the folder in which a deleted file is made again, to be deleted at once."""
    with suppress(OSError, Diverted):  # gone too, or led to another: nobody can tell by the name any more
        folder = resolve(os.path.dirname(record.path))
        if stat.S_ISDIR(os.fstat(folder).st_mode):
            return folder
        os.close(folder)
    return os.open("/tmp", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _made_within(folder: int, record: DeletedRecord, fill: Callable[[int, ContentRecord], None]) -> int:
    name = record.path.decode(errors="replace")
    kind = stat.S_IFMT(record.mode)
    if _UNNAMED.fullmatch(os.path.basename(record.path)):
        flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
        with suppress(OSError):  # a file system without O_TMPFILE: it cannot be linked then, but is there
            return _filled(os.open(".", flags, 0o600, dir_fd=folder), record, fill)
    for candidate in (os.path.basename(record.path), b".crtool-%d" % os.getpid()):
        try:
            if kind == stat.S_IFDIR:
                os.mkdir(candidate, 0o700, dir_fd=folder)
            elif kind == stat.S_IFIFO:
                os.mkfifo(candidate, 0o600, dir_fd=folder)
            elif kind == stat.S_IFREG:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                os.close(os.open(candidate, flags, 0o600, dir_fd=folder))
            else:
                raise EnvironmentDiffers(f"the deleted file {name} is of a type that cannot be made again")
        except FileExistsError:
            continue
        except OSError as error:
            raise EnvironmentDiffers(
                f"the deleted file {name} cannot be made again: {error.strerror}", "make its folder writable"
            ) from None
        try:
            flags = os.O_RDONLY if kind == stat.S_IFDIR else os.O_RDWR
            fd = os.open(candidate, flags | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            (os.rmdir if kind == stat.S_IFDIR else os.unlink)(candidate, dir_fd=folder)
        return fd if kind == stat.S_IFDIR else _filled(fd, record, fill)
    raise EnvironmentDiffers(f"the deleted file {name} cannot be made again: its name is taken")


def _filled(fd: int, record: DeletedRecord, fill: Callable[[int, ContentRecord], None]) -> int:
    if stat.S_ISREG(record.mode):
        os.ftruncate(fd, record.content.size)
        fill(fd, record.content)
    try:
        os.fchown(fd, record.uid, record.gid)
    except PermissionError:
        name = record.path.decode(errors="replace")
        raise EnvironmentDiffers(
            f"the deleted file {name} belonged to user {record.uid}, group {record.gid}", "run crtool as root"
        ) from None
    os.fchmod(fd, stat.S_IMODE(record.mode))
    os.utime(fd, ns=(record.atime_ns, record.mtime_ns))
    return fd
