"""Unix sockets: what one of them is.

The kernel keeps in a socket: its type; its name, a path (as it was given, relative or not, and the inode that was made)
or an abstract one; the socket that it is connected to; what was sent to it and is not read (:mod:`.unix_queues`), with
descriptors in flight; of a listening one, who waits to be accepted; which directions are shut down; and who made the
other end (SO_PEERCRED, SO_PEERGROUPS).

We ask sock_diag(7), SIOCUNIXFILE for the path of its inode, and a borrowed descriptor.

We rebuild all of them before anybody is born (:mod:`.unix_remake`).

Refused: one whose other end is outside the tree, unless --unix says what to do (:mod:`.unix_outside`); bytes on a
connection that nobody has accepted, which cannot be seen; eBPF filters. Lost: what :mod:`.unix_queues` and
:mod:`.unix_remake` say.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
from contextlib import suppress

from crtool.abi import socket as abi
from crtool.errors import Obstacle
from crtool.kernel import sockets
from crtool.kernel.unix_diag import LISTEN, UnixSocket
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.sockets import options
from crtool.resources.files.sockets.option_table import OptionRecord, OptionTable

__all__ = [
    "CLOSE",
    "ENDED",
    "HERE",
    "OPTIONS",
    "RECONNECT",
    "BoundFileRecord",
    "MakerRecord",
    "MessageRecord",
    "UnixRecord",
    "dump",
    "inode_of",
    "made_by",
    "name_of_peer",
    "obstacle",
    "recognise",
    "shown_name",
]

OPTIONS = OptionTable(*options.OPTIONS)
HERE, ENDED, CLOSE, RECONNECT = "", "ended", "close", "reconnect"
_AF_UNIX, _SOCK_DGRAM = 1, 2
_SIOCUNIXFILE = 0x89E0  # SIOCPROTOPRIVATE: a descriptor (O_PATH) of the bound file, since 4.12
_DELETED = b" (deleted)"
_SOME_GROUPS, _ALL_GROUPS = 4 * 64, 4 << 16  # bytes; nobody has more than NGROUPS_MAX


@dataclass(frozen=True)
class BoundFileRecord:
    """The inode that a path was bound to."""

    path: bytes  # where it is, as crtool sees it; as it was if it is deleted
    deleted: bool
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True)
class MessageRecord:
    """Something sent and not read: a datagram, or a stretch of a stream."""

    data: bytes
    descriptions: tuple[int, ...]  # in flight with it: indices among the open file descriptions
    sender: tuple[int, int, int] | None  # PID, UID, GID, where the receiver wants to be told (SO_PASSCRED)
    source: bytes  # of a datagram: the name of the socket that has sent it
    urgent: bool  # MSG_OOB


@dataclass(frozen=True)
class MakerRecord:
    """Who made a socket, or has it open."""

    pid: int  # 0 if the kernel has none
    uid: int
    gid: int
    groups: tuple[int, ...] | None  # supplementary ones, in ascending order; None if nobody will ask for them


@dataclass(frozen=True)
class UnixRecord:
    """One socket."""

    inode: int  # by which others refer to it
    kind: int  # SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET
    flags: int  # O_* as fcntl(F_GETFL) gives them
    state: int  # TCP_ESTABLISHED, TCP_CLOSE, TCP_LISTEN
    name: bytes | None  # as it was bound: a path as it was given, or a NUL and an abstract name
    file: BoundFileRecord | None
    peer: int  # inode of the socket that it is connected to, 0 if none of the tree
    peer_name: bytes  # name of that
    fate: str  # of a peer that does not come back: "ended", or, being outside, "close" or "reconnect"
    shutdown: int  # 1: receives nothing any more, 2: sends nothing any more
    backlog: int  # of a listening one
    waiting: tuple[int, ...]  # of a listening one: inodes of its clients, 0 for one that has gone
    made_by: MakerRecord  # of the other end: SO_PEERCRED, SO_PEERGROUPS
    holder: MakerRecord  # a process that has it open
    messages: tuple[MessageRecord, ...]
    options: tuple[OptionRecord, ...]


def recognise(file: OpenFile) -> bool:
    """Whether *file* is a unix socket."""
    return file.socket[0] == _AF_UNIX


def has_error(fd: int) -> bool:
    """Whether an error waits to be fetched; asking does not fetch it."""
    poll = select.poll()
    poll.register(fd, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def inode_of(file: OpenFile) -> int:
    """By which sock_diag knows it."""
    return file.stat.st_ino


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why *file* cannot be saved, as far as it can be seen by itself."""
    if options.has_ebpf_filter(file.local):
        return Obstacle(file.pid, where, "a unix socket with an eBPF filter cannot be saved", "detach the filter")
    return None


def name_of_peer(fd: int) -> bytes | None:
    """The name of what *fd* is connected to, also when that has gone; empty if that has none, None if there is none."""
    try:
        address = sockets.getpeername(fd)
    except OSError:
        return None
    return None if address is None else _name(address) or b""


def _name(address: bytes) -> bytes | None:
    name = address[2:]
    return (name if name.startswith(b"\0") else name.partition(b"\0")[0]) or None


def shown_name(name: bytes | None) -> str:
    """A name for the user: abstract ones with an @, as ss(8) shows them."""
    if not name:
        return "an unnamed unix socket"
    return "unix socket " + name.replace(b"\0", b"@").decode(errors="replace")


def dump(file: OpenFile, info: UnixSocket, groups: tuple[int, ...] | None) -> UnixRecord:
    """The record of *file*, without its messages; *info* is what sock_diag says of it, *groups* those of its process,
    if it will have to be connected anew.
    """
    peer_name = name_of_peer(file.local)
    # A datagram socket stays connected to one that has gone, until it sends something.
    ended = info.kind == _SOCK_DGRAM and not info.peer and peer_name is not None
    status = os.stat(f"/proc/{file.pid}")
    listening = info.state == LISTEN
    return UnixRecord(
        inode=info.inode,
        kind=info.kind,
        flags=file.flags,
        state=info.state,
        name=info.name,
        file=_bound_file(file, info),
        peer=info.peer,
        peer_name=peer_name or b"",
        fate=ENDED if ended else HERE,
        shutdown=info.shutdown,
        backlog=info.send_queue if listening else 0,
        waiting=info.waiting if listening else (),
        made_by=made_by(file.local),
        holder=MakerRecord(file.pid, status.st_uid, status.st_gid, groups),
        messages=(),
        options=OPTIONS.dump(file.local),
    )


def made_by(fd: int) -> MakerRecord:
    """Who made, or listens at, the other end (SO_PEERCRED, SO_PEERGROUPS)."""
    raw = sockets.getsockopt(fd, abi.SOL_SOCKET, abi.SO_PEERCRED, 12)
    pid, uid, gid = (int.from_bytes(raw[at : at + 4], "little", signed=True) for at in (0, 4, 8))
    return MakerRecord(pid, uid, gid, _groups(fd) if pid else None)


def _groups(fd: int) -> tuple[int, ...] | None:
    for room in (_SOME_GROUPS, _ALL_GROUPS):
        with suppress(OSError):  # ERANGE: it takes more room; ENODATA: there is nobody
            raw = sockets.getsockopt(fd, abi.SOL_SOCKET, abi.SO_PEERGROUPS, room)
            return tuple(int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4))
    return None


def _bound_file(file: OpenFile, info: UnixSocket) -> BoundFileRecord | None:
    if info.bound is None or not info.name:
        return None
    try:
        fd = fcntl.ioctl(file.local, _SIOCUNIXFILE)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTTY, errno.EINVAL, errno.ENOENT):
            raise
        # Without CAP_NET_ADMIN: the name, seen from the process that has it open.
        return BoundFileRecord(os.path.join(os.readlink(os.fsencode(f"/proc/{file.pid}/cwd")), info.name), False,
                               0o777, -1, -1)  # fmt: skip
    try:
        status = os.fstat(fd)
        path = os.readlink(b"/proc/self/fd/%d" % fd)
    finally:
        os.close(fd)
    gone = status.st_nlink == 0
    return BoundFileRecord(
        path.removesuffix(_DELETED) if gone else path, gone, status.st_mode & 0o7777, status.st_uid, status.st_gid
    )
