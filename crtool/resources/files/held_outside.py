"""Open files of a tree that somebody outside of it has open as well.

The kernel keeps one open file, however many processes have it; a restart makes another, of which those outside know
nothing. Some of them could meddle meanwhile: requests may be submitted to a ring of io_uring, memory given by a
userfaultfd, and bytes sent on a TCP connection, after which the numbers in the image are wrong. Those stand in the way.
Of all others we warn: a listening socket that a supervisor handed down is whole without him.

We compare what others have open (:mod:`.outside`) by the number of a socket or pipe, by the inode of a file that has no
name any more, memfds among them, and by kcmp(2) where all of a kind have one inode. Shared memory that has no name
is compared by device and inode in /proc/PID/maps, if the tree has any.

Not said: a file with a name, of which only the position is shared no more; a pidfd, a message queue.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress

from crtool.abi import socket as abi
from crtool.errors import Obstacle, TargetDied, TargetError
from crtool.kernel import tcp
from crtool.kernel.process import KCMP_FILE, Identities
from crtool.procfs.read import stat_of
from crtool.record import dataclass
from crtool.resources.files import uring, userfaultfd
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.outside import Outside
from crtool.resources.files.sockets.identity import is_socket
from crtool.resources.files.sockets.tcp import CONNECTED
from crtool.resources.files.sockets.tcp import recognise as is_tcp
from crtool.tree.walk import name_of

__all__ = ["HeldOutside"]

_Key = tuple[int, int]  # st_dev, st_ino

_ANONYMOUS = {
    b"anon_inode:[eventfd]": "an eventfd",
    b"anon_inode:[eventpoll]": "an epoll instance",
    b"anon_inode:[signalfd]": "a signalfd",
    b"anon_inode:[timerfd]": "a timerfd",
    b"anon_inode:inotify": "an inotify instance",
    b"anon_inode:[inotify]": "an inotify instance",
    b"anon_inode:fanotify": "a fanotify group",
    b"anon_inode:[fanotify]": "a fanotify group",
    b"anon_inode:bpf-map": "a BPF map",
    uring.LINK: "an io_uring",
    userfaultfd.LINK: "a userfaultfd",
}
_SOCKETS = {
    abi.AF_UNIX: "a unix socket",
    abi.AF_INET: "an IP socket",
    abi.AF_INET6: "an IP socket",
    abi.AF_NETLINK: "a netlink socket",
    abi.AF_PACKET: "a packet socket",
}
_MEDDLING = (uring.LINK, userfaultfd.LINK)
# Start, device and inode, path. What the kernel keeps by its own means, for System V IPC say, has another.
_SHARED_MEMORY = re.compile(
    rb"^([0-9a-f]+)-[0-9a-f]+ ...s [0-9a-f]+ ([0-9a-f]+:[0-9a-f]+ [0-9]+) +/(?:dev/zero|memfd:.*) \(deleted\)$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class _Place:
    """Where in the tree one is open."""

    pid: int
    door: int  # a living thread of it
    fd: int
    key: _Key
    link: bytes
    what: str
    harm: bool  # it stands in the way


class HeldOutside:
    """What a living tree has open that could be open outside as well."""

    def __init__(self, *, leaves_connections: bool) -> None:
        """*leaves_connections*: TCP connections come back as reset, whoever has them."""
        self._leaves_connections = leaves_connections
        self._numbered: dict[bytes, _Place] = {}  # by link
        self._nameless: dict[_Key, _Place] = {}
        self._alike: dict[bytes, list[_Place]] = {}  # by link, which does not tell one from the other
        self._mapped: dict[bytes, tuple[int, int]] = {}  # by device and inode: process and address

    def add(self, file: OpenFile, door: int) -> None:
        """Takes note of one, found by living thread *door* of the process; what is not compared is passed over."""
        if file.link in _ANONYMOUS:
            place = _place(file, door, _ANONYMOUS[file.link], harm=file.link in _MEDDLING)
            self._alike.setdefault(file.link, []).append(place)
        elif is_socket(file):
            if is_tcp(file) and tcp.info(file.local).state in CONNECTED:
                if not self._leaves_connections:
                    place = _place(file, door, "a TCP connection", harm=True)
                    self._numbered.setdefault(file.link, place)
                return
            what = "a TCP socket" if is_tcp(file) else _SOCKETS.get(file.socket[0], "a socket")
            self._numbered.setdefault(file.link, _place(file, door, what))
        elif file.link.startswith(b"pipe:["):
            self._numbered.setdefault(file.link, _place(file, door, "a pipe"))
        elif stat.S_ISREG(file.stat.st_mode) and file.stat.st_nlink == 0:
            place = _place(file, door, "a memfd" if file.link.startswith(b"/memfd:") else "a deleted file")
            self._nameless.setdefault(place.key, place)

    def add_mappings(self, pid: int, maps: bytes) -> None:
        """Takes note of the shared memory in /proc/PID/maps."""
        for start, identity in _SHARED_MEMORY.findall(maps):
            self._mapped.setdefault(identity, (pid, int(start, 16)))

    def judge(self, outside: Outside, exempt: Collection[_Key]) -> tuple[list[Obstacle], list[str]]:
        """What stands in the way, and what there is to warn of; *exempt*, by device and inode, are not saved at all."""
        obstacles, warnings = [], []
        for place, other in self._shared(outside):
            if place.key in exempt:
                continue
            where = f"fd {place.fd}"
            cause = f"{place.what} that PID {other} ({name_of(other)}), which is not in the tree, has open too"
            if place.harm:
                remedy = "checkpoint a parent of both, or close it there"
                remedy += ", or choose --tcp=close" if place.link in self._numbered else ""
                obstacles.append(Obstacle(place.pid, where, cause, remedy))
            else:
                warnings.append(f"PID {place.pid} {where}: {cause}: after a restart they do not share it")
        for pid, start, other in self._mapped_outside(outside):
            what = f"shared memory that PID {other} ({name_of(other)}), which is not in the tree, has mapped too"
            warnings.append(f"PID {pid} mapping {start:x}: {what}: after a restart they do not share it")
        return obstacles, warnings

    def _shared(self, outside: Outside) -> Iterator[tuple[_Place, int]]:
        """What is open outside too, each once, and by which process."""
        if not (self._numbered or self._nameless or self._alike):
            return
        for link, place in self._numbered.items():
            for pid, _ in outside.files.get(link, ())[:1]:
                yield place, pid
        told = set()
        for place, pid in (*self._shared_nameless(outside), *self._shared_alike(outside)):
            if place not in told:
                told.add(place)
                yield place, pid

    def _shared_nameless(self, outside: Outside) -> Iterator[tuple[_Place, int]]:
        for link, holders in outside.files.items() if self._nameless else ():
            for pid, fd in holders if link.endswith(b" (deleted)") else ():
                with suppress(TargetDied, TargetError, OSError):  # closed meanwhile
                    found = stat_of(pid, f"fd/{fd}")
                    if (place := self._nameless.get((found.st_dev, found.st_ino))) is not None:
                        yield place, pid

    def _shared_alike(self, outside: Outside) -> Iterator[tuple[_Place, int]]:
        for link, places in self._alike.items():
            if holders := outside.files.get(link):
                alike = _Alike(link, places)
                for pid, fd in holders:
                    with suppress(OSError):  # closed meanwhile
                        if (place := alike.find(pid, fd)) is not None:
                            yield place, pid

    def _mapped_outside(self, outside: Outside) -> Iterator[tuple[int, int, int]]:
        """Process and address of what is mapped outside too, each once, and by which process."""
        missing = dict(self._mapped)
        for other, maps in outside.maps if missing else ():
            for _, identity in _SHARED_MEMORY.findall(maps) if b" (deleted)\n" in maps else ():
                if identity in missing:
                    yield *missing.pop(identity), other


class _Alike:
    """Open files of a tree that only kcmp(2) tells apart."""

    def __init__(self, link: bytes, places: list[_Place]) -> None:
        self._link = link
        self._found: dict[int, _Place] = {}
        self._identities = Identities(KCMP_FILE)
        for place in places:
            with suppress(OSError):  # closed meanwhile
                index, _ = self._identities.find(place.door, place.fd, link)
                self._found.setdefault(index, place)

    def find(self, pid: int, fd: int) -> _Place | None:
        """The one that a descriptor of another process is."""
        known = self._identities.known(pid, fd, self._link)
        return None if known is None else self._found[known]


def _place(file: OpenFile, door: int, what: str, *, harm: bool = False) -> _Place:
    return _Place(file.pid, door, file.fd, (file.stat.st_dev, file.stat.st_ino), file.link, what, harm)
