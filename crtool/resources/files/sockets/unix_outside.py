"""Unix sockets whose other end is not in the tree, before and while the tree is frozen.

The kernel tells by sock_diag(7) which socket is connected to which; who has that open, only /proc/PID/fd of every
process tells (``files/outside.py``). It is only looked through for sockets that the tree does not hold.

By default such a socket is refused. With --unix=close it comes back as if the other side had gone, with
--unix=reconnect it is connected again to the name of the other side, where it has one. A standard stream may be
replaced, like a pipe, if the user says so (``files/inherited.py``): as a service of systemd a program has its output in
a socket of the journal.

Whether somebody outside holds a socket of the tree as well is another matter (``files/held_outside.py``).
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator, Mapping

from crtool.errors import Obstacle
from crtool.kernel.sock_diag import SockDiag
from crtool.kernel.unix_diag import ESTABLISHED, LISTEN, UnixSocket, all_sockets
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.outside import Outside
from crtool.resources.files.sockets import unix
from crtool.tree.walk import name_of

__all__ = ["UnixEnds", "census", "obstacles_of"]

_STREAMS = range(3)  # standard input, output and error


def census() -> dict[int, UnixSocket]:
    """All unix sockets of this network namespace, by inode."""
    with SockDiag() as line:
        return {found.inode: found for found in all_sockets(line)}


class UnixEnds:
    """The unix sockets that a living tree has open."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[int, int]] = {}  # inode → process, descriptor
        self._streams: dict[int, _Stream] = {}  # by inode

    def add(self, file: OpenFile) -> None:
        """Takes note of one; anything but a unix socket is passed over."""
        if not unix.recognise(file):
            return
        inode = unix.inode_of(file)
        self._places.setdefault(inode, (file.pid, file.fd))
        if file.fd in _STREAMS and file.socket[1] == socket.SOCK_STREAM:
            known = self._streams.get(inode)
            number = file.fd if known is None else min(known.number, file.fd)
            self._streams[inode] = _Stream((file.stat.st_dev, inode), number, unix.made_by(file.local).pid)

    def inherited(self, tree: Collection[int], outside: Outside) -> dict[tuple[int, int], int]:
        """The standard streams of somebody in *tree* whose other end lies outside: their numbers, by device and inode.

        One whose other end is in flight within the tree is none: nobody has that open, and it was made in the tree.
        """
        if not self._streams:
            return {}
        known = census()
        others = {
            inode: other
            for inode in self._streams
            if inode in known and (other := _other_end(known[inode], known)) and other not in self._places
        }
        held = outside.holders(set(others.values())) if others else {}
        streams = (self._streams[inode] for inode, other in others.items()
                   if other in held or self._streams[inode].made_by not in tree)  # fmt: skip
        return {stream.key: stream.number for stream in streams}

    def obstacles(
        self, outside: Outside, policy: str, allowed: Collection[tuple[int, int]] = ()
    ) -> Iterator[Obstacle]:
        """What stands in the way of saving them; those *allowed*, by device and inode, are not saved."""
        exempt = {inode for _, inode in allowed} & self._streams.keys()
        places = {inode: place for inode, place in self._places.items() if inode not in exempt}
        if places:
            yield from obstacles_of(places, census(), outside, policy, in_flight=True)


@dataclass(frozen=True)
class _Stream:
    """A stream socket that is a standard stream of somebody."""

    key: tuple[int, int]  # st_dev, st_ino
    number: int  # the lowest of 0, 1, 2 by which it is open
    made_by: int  # SO_PEERCRED: the PID of who made, or listens at, the other end


def _other_end(info: UnixSocket, known: Mapping[int, UnixSocket]) -> int:
    """The inode of the other end of a connection, or of the listener that has not accepted it yet; 0: there is none."""
    if info.peer or info.state != ESTABLISHED:
        return info.peer
    return next((found.inode for found in known.values() if info.inode in found.waiting), 0)


def obstacles_of(
    places: Mapping[int, tuple[int, int]],
    known: Mapping[int, UnixSocket],
    outside: Outside,
    policy: str,
    *,
    in_flight: bool,
) -> Iterator[Obstacle]:
    """One for each socket of *places* (by inode: process and descriptor) that cannot be saved.

    *in_flight*: one that nobody has open may still be in flight within the tree.
    """
    listeners = {client: found for found in known.values() for client in found.waiting if client}
    wanted: dict[int, int] = {}  # inode of the other end → ours
    for inode in places:
        info = known.get(inode)
        if info is None:
            continue
        pid, fd = places[inode]
        for client in info.waiting if info.state == LISTEN else ():
            if client and client not in places and policy == "refuse":  # 0: it has gone
                wanted[client] = inode
            if client in known and known[client].send_queue and known[client].send_memory:
                yield Obstacle(
                    pid,
                    f"fd {fd}",
                    "a connection that waits to be accepted has bytes in it, which nobody can read before",
                    "try again when the program has accepted it",
                )
        if policy != "refuse":
            continue
        if info.peer and info.peer not in places:
            wanted[info.peer] = inode
        elif not info.peer and info.state == ESTABLISHED and inode in listeners:
            listener = listeners[inode].inode
            if listener not in places:
                wanted[listener] = inode
    if not wanted:
        return
    found = outside.holders(wanted)
    for other, inode in wanted.items():
        if other not in found and in_flight:
            continue
        pid, fd = places[inode]
        who = f"PID {found[other]} ({name_of(found[other])})" if other in found else "somebody unknown"
        remedy = "checkpoint a parent of both, or choose --unix=close or --unix=reconnect"
        if fd in _STREAMS and known[inode].kind == socket.SOCK_STREAM:
            remedy += ", or let --stdio inherit replace it by that of the restart"
        yield Obstacle(
            pid,
            f"fd {fd}",
            f"a unix socket whose other end {who} holds, which is not in the tree",
            remedy,
        )
