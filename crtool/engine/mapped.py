"""Reaching the files that are mapped.

Through /proc/PID/map_files, which leads to the very file, if crtool may: that takes CAP_CHECKPOINT_RESTORE (or
CAP_SYS_ADMIN) over the machine, not only in a user namespace. An ordinary user has other ways:

- a file that has a name is opened by it, and is the mapped one if it has that inode number;
- one without a name may also be open: then its descriptor leads to it;
- shared anonymous memory has neither. Its content is copied from the memory of those who have mapped it, into a memfd.

What is reached by none of them is an obstacle.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache

from crtool.abi.fcntl import MFD_CLOEXEC
from crtool.errors import Obstacle, ObstacleError, TargetError
from crtool.kernel import memfd, packet_diag
from crtool.procfs import maps as maps_file
from crtool.procfs import ns as ns_file
from crtool.procfs.maps import Mapping
from crtool.procfs.read import read
from crtool.resources.files.uring import LINK as RING
from crtool.resources.memory.mappings import is_of_file

__all__ = ["FilesBefore", "MappedFiles", "obstacles"]

_ANONYMOUS = b"/dev/zero"
_SOCKET = b"socket:["
_ROOM = 1 << 16  # bytes that are copied at once, or left a hole
_HELD = 256  # files that are held at the most

Doors = Callable[[], Iterable[int]]
"""The living threads, one of each process, whose folders in /proc are to be searched."""


@cache
def may_follow() -> bool:
    """Whether crtool may use map_files, tried on a mapping of its own."""
    mapping = next(one for one in maps_file.parse(read(os.getpid(), "maps")) if is_of_file(one))
    try:
        os.close(os.open(_link(os.getpid(), mapping), os.O_PATH | os.O_CLOEXEC))
    except OSError as error:
        return error.errno != errno.EPERM
    return True


def _link(pid: int, mapping: Mapping) -> str:
    return f"/proc/{pid}/map_files/{mapping.start:x}-{mapping.end:x}"


def _identity(mapping: Mapping) -> tuple[int, int, int]:
    return (mapping.major, mapping.minor, mapping.inode)


def _is_anonymous(mapping: Mapping) -> bool:
    return mapping.name == _ANONYMOUS and mapping.deleted


def _by_name(mapping: Mapping) -> int:
    """A descriptor of the mapped file if it is there under its name, else −1."""
    if mapping.deleted:
        return -1
    try:
        fd = os.open(mapping.name, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return -1
    # Not the device: some file systems (btrfs, overlayfs) show another one to stat(2) than to /proc.
    if os.fstat(fd).st_ino == mapping.inode:
        return fd
    os.close(fd)
    return -1


def _by_descriptor(mapping: Mapping, doors: Iterable[int]) -> str:
    """The path in /proc of a descriptor of the mapped file, empty if nobody has one."""
    for door in doors:
        with suppress(OSError):
            for name in os.listdir(f"/proc/{door}/fd"):
                path = f"/proc/{door}/fd/{name}"
                with suppress(OSError):
                    there = os.stat(path)
                    if (os.major(there.st_dev), os.minor(there.st_dev), there.st_ino) == _identity(mapping):
                        return path
    return ""


def obstacles(pid: int, maps: bytes, doors: Doors) -> Iterator[Obstacle]:
    """The mappings of process *pid*, whose /proc/PID/maps is *maps*, whose files crtool could not reach."""
    yield from _of_sockets(pid, maps, doors)
    rings = RING in maps
    if may_follow() and not rings:
        return
    seen = set()
    for mapping in maps_file.parse(maps):
        if rings and mapping.name == RING and _identity(mapping) not in seen:
            seen.add(_identity(mapping))
            if not _by_descriptor(mapping, doors()):
                yield Obstacle(pid, f"mapping {mapping.start:x}-{mapping.end:x}", *_CLOSED)
        if may_follow():
            continue
        if not is_of_file(mapping) or _is_anonymous(mapping) or _identity(mapping) in seen:
            continue
        if mapping.name.startswith(_SOCKET):
            continue
        seen.add(_identity(mapping))
        fd = _by_name(mapping)
        if fd >= 0:
            os.close(fd)
        elif not _by_descriptor(mapping, doors()):
            yield Obstacle(pid, f"mapping {mapping.start:x}-{mapping.end:x}", _out_of_reach(mapping), _REMEDY)


def _of_sockets(pid: int, maps: bytes, doors: Doors) -> Iterator[Obstacle]:
    if _SOCKET in maps:
        for mapping in maps_file.parse(maps):
            if mapping.name.startswith(_SOCKET) and (cause := _why_no_ring(mapping, doors)):
                yield Obstacle(pid, f"mapping {mapping.start:x}-{mapping.end:x}", cause, "unmap it first")


def _why_no_ring(mapping: Mapping, doors: Doors) -> str:
    """Why a mapping of a socket cannot be made again, empty if it can: only rings of packet sockets, and as a whole."""
    try:
        info = packet_diag.look(mapping.inode)
    except OSError:
        info = None
    if info is None or not info.has_ring:
        return "is memory of a socket, but not the ring of a packet socket that crtool could ask"
    if not mapping.shared or mapping.offset or mapping.end - mapping.start != info.received.size + info.sent.size:
        return "is only a part of the rings of a packet socket"
    return "" if _by_descriptor(mapping, doors()) else "is the ring of a packet socket that nobody in the tree has open"


def _out_of_reach(mapping: Mapping) -> str:
    return f"{mapping.name.decode(errors='replace')} has no name any more and is not open: only privilege reaches it"


_CLOSED = (
    "is an io_uring of which no process of the tree has a descriptor",
    "let the program do without: UV_USE_IO_URING=0 for libuv",
)
_REMEDY = "run crtool as root, or with CAP_CHECKPOINT_RESTORE"


class FilesBefore:
    """Files that have a name and are mapped by a tree that still runs, held open until it is saved.

    Nobody else can get the number of an inode that is held. So whoever maps the same number by the same name when it
    stands still maps this file, and its mapping need not be followed then. As a context manager it closes them.
    """

    def __init__(self) -> None:
        self._files: dict[tuple[int | None, int, int, int, bytes], int] = {}  # mount namespace, mapping → descriptor

    def __enter__(self) -> FilesBefore:
        return self

    def __exit__(self, *exc: object) -> None:
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()

    def look(self, pids: Iterable[int], base: int | None) -> None:
        """Opens what *pids* map, if crtool may. *base*: the mount namespace that the root lives in."""
        for pid in pids if may_follow() else ():
            with suppress(TargetError, OSError):  # it has ended, or unmapped it
                mounts = ns_file.inode(pid, "mnt")
                for mapping in maps_file.parse(read(pid, "maps")):
                    key = _named(mapping, None if mounts == base else mounts)
                    if key is not None and key not in self._files and len(self._files) < _HELD:
                        fd, link = _follow(_link(pid, mapping))
                        if link == mapping.name:
                            self._files[key] = fd
                        else:
                            os.close(fd)

    def find(self, mapping: Mapping, mounts: int | None) -> int:
        """A descriptor (O_PATH) of what *mapping* maps, to be left open; −1 if it was not seen. *mounts*: the mount
        namespace of whose it is, None for the root's.
        """
        key = _named(mapping, mounts)
        return -1 if key is None else self._files.get(key, -1)


def _named(mapping: Mapping, mounts: int | None) -> tuple[int | None, int, int, int, bytes] | None:
    if not mapping.inode or mapping.deleted or not mapping.name.startswith(b"/"):
        return None
    return (mounts, mapping.major, mapping.minor, mapping.inode, mapping.name)


class MappedFiles:
    """Opens mapped files of a tree that stands still."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._anonymous: dict[tuple[int, int, int], int] | None = None  # identity → memfd

    def close(self) -> None:
        """Closes what stands for shared memory."""
        for fd in (self._anonymous or {}).values():
            os.close(fd)
        self._anonymous = None

    @contextmanager
    def opened(self, door: int, mapping: Mapping) -> Iterator[tuple[int, bytes]]:
        """A descriptor (O_PATH, of ours) of what *mapping* of *door*'s process maps, and the path that /proc shows."""
        fd, link = self._open(door, mapping)
        try:
            yield fd, link
        finally:
            os.close(fd)

    def _open(self, door: int, mapping: Mapping) -> tuple[int, bytes]:
        if mapping.name.startswith(_SOCKET):
            if cause := _why_no_ring(mapping, self._doors):
                place = f"mapping {mapping.start:x}-{mapping.end:x}"
                raise ObstacleError([Obstacle(door, place, cause, "unmap it first")])
            return _follow(_by_descriptor(mapping, self._doors()))
        if mapping.name == RING:  # which nobody can open, not even by map_files
            if path := _by_descriptor(mapping, self._doors()):
                return _follow(path)
            raise ObstacleError([Obstacle(door, f"mapping {mapping.start:x}-{mapping.end:x}", *_CLOSED)])
        if may_follow():
            return _follow(_link(door, mapping))
        if _is_anonymous(mapping):
            return os.dup(self._copies()[_identity(mapping)]), _ANONYMOUS + b" (deleted)"
        if (fd := _by_name(mapping)) >= 0:
            return fd, mapping.name
        if path := _by_descriptor(mapping, self._doors()):
            return _follow(path)
        raise TargetError(f"PID {door} mapping {mapping.start:x}: {_out_of_reach(mapping)}", _REMEDY)

    def _copies(self) -> dict[tuple[int, int, int], int]:
        """Copies of all shared anonymous memory, each with what anybody has mapped of it."""
        if self._anonymous is None:
            self._anonymous = {}
            for door in self._doors():
                for mapping in maps_file.parse(read(door, "maps")):
                    if _is_anonymous(mapping):
                        self._copy(door, mapping)
        return self._anonymous

    def _copy(self, door: int, mapping: Mapping) -> None:
        assert self._anonymous is not None
        identity = _identity(mapping)
        if identity not in self._anonymous:
            self._anonymous[identity] = memfd.create(b"copy", MFD_CLOEXEC)
        fd, size = self._anonymous[identity], mapping.end - mapping.start
        if os.fstat(fd).st_size < mapping.offset + size:
            os.ftruncate(fd, mapping.offset + size)
        memory = os.open(f"/proc/{door}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with mmap.mmap(-1, 2 * _ROOM) as room, memoryview(room) as both:
                view, zeros = both[:_ROOM], both[_ROOM:]
                done = 0
                while done < size:
                    got = os.preadv(memory, [view[: size - done]], mapping.start + done)
                    if view[:got] != zeros[:got]:
                        os.pwrite(fd, view[:got], mapping.offset + done)
                    done += got
                view.release()
                zeros.release()
        finally:
            os.close(memory)


def _follow(path: str) -> tuple[int, bytes]:
    return os.open(path, os.O_PATH | os.O_CLOEXEC), os.fsencode(os.readlink(path))
