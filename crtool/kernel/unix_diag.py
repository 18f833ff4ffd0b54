"""What the kernel tells about unix sockets by netlink: who is connected to whom, and who waits to be accepted.

Sources: include/uapi/linux/unix_diag.h, net/unix/diag.c.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

from crtool.kernel.sock_diag import SockDiag, attributes
from crtool.record import dataclass

__all__ = ["ESTABLISHED", "LISTEN", "UNCONNECTED", "UnixSocket", "all_sockets", "by_inode", "parse"]

_REQUEST = struct.Struct("<BBHIIIII")  # struct unix_diag_req: family, protocol, pad, states, inode, show, cookie
_MESSAGE = struct.Struct("<BBBBIII")  # struct unix_diag_msg: family, type, state, pad, inode, cookie
_PAIR = struct.Struct("<II")  # struct unix_diag_vfs, struct unix_diag_rqlen
_NAME, _VFS, _PEER, _ICONS, _RQLEN, _MEMINFO, _SHUTDOWN, _UID = range(8)
_SHOW_ALL = 0x3F  # UDIAG_SHOW_NAME, _VFS, _PEER, _ICONS, _RQLEN, _MEMINFO
_ALL_STATES = 0xFFFF_FFFF
_MINOR_BITS = 20  # MINORBITS (linux/kdev_t.h): the kernel's own form of a device number
_NO_COOKIE = 0xFFFF_FFFF
ESTABLISHED, UNCONNECTED, LISTEN = 1, 7, 10  # TCP_ESTABLISHED, TCP_CLOSE, TCP_LISTEN (net/tcp_states.h)
_SK_MEMINFO_RMEM_ALLOC, _SK_MEMINFO_WMEM_ALLOC = 0, 2


@dataclass(frozen=True)
class UnixSocket:
    """One socket."""

    inode: int
    kind: int  # SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET
    state: int  # ESTABLISHED, UNCONNECTED, LISTEN
    name: bytes | None  # sun_path as it was bound: a path as it was given, or a NUL and an abstract name; None: unbound
    bound: tuple[int, int] | None  # st_dev and st_ino (the low 32 bits of it) of its file
    peer: int  # inode of the socket that it is connected to; 0: none, or one that nobody has accepted yet
    waiting: tuple[int, ...]  # of a listening one: inodes of the clients whose connections wait, the oldest first
    receive_queue: int  # of a listening one: how many wait; else bytes (streams, seqpackets) or those of the first
    send_queue: int  # of a listening one: its backlog; else bytes that the other side has not read
    receive_memory: int  # bytes of kernel memory in the receive queue
    send_memory: int  # bytes of kernel memory in flight
    shutdown: int  # 1: nothing is received any more, 2: nothing is sent any more


def parse(answer: bytes) -> UnixSocket:
    """A struct unix_diag_msg and its attributes."""
    _, kind, state, _, inode, _, _ = _MESSAGE.unpack_from(answer)
    found = attributes(answer[_MESSAGE.size :])
    memory = found.get(_MEMINFO, b"")
    words = struct.unpack(f"<{len(memory) // 4}I", memory) or (0,) * 9
    icons = found.get(_ICONS, b"")
    queues = _PAIR.unpack(found[_RQLEN]) if _RQLEN in found else (0, 0)
    vfs = _PAIR.unpack(found[_VFS]) if _VFS in found else None
    name = found.get(_NAME)
    return UnixSocket(
        inode=inode,
        kind=kind,
        state=state,
        name=name if name is None or name.startswith(b"\0") else name.removesuffix(b"\0"),
        bound=None if vfs is None else (os.makedev(vfs[1] >> _MINOR_BITS, vfs[1] & (1 << _MINOR_BITS) - 1), vfs[0]),
        peer=int.from_bytes(found.get(_PEER, b""), "little"),
        waiting=struct.unpack(f"<{len(icons) // 4}I", icons),
        receive_queue=queues[0],
        send_queue=queues[1],
        receive_memory=words[_SK_MEMINFO_RMEM_ALLOC],
        send_memory=words[_SK_MEMINFO_WMEM_ALLOC],
        shutdown=int.from_bytes(found.get(_SHUTDOWN, b""), "little"),
    )


def all_sockets(line: SockDiag) -> Iterator[UnixSocket]:
    """All unix sockets of the namespace, also those that nobody holds but a queue."""
    for answer in line.all(_request(0)):
        yield parse(answer)


def by_inode(line: SockDiag, inode: int) -> UnixSocket | None:
    """One of them; None if it is gone, or belongs to another network namespace."""
    answer = line.one(_request(inode))
    return None if answer is None else parse(answer)


def _request(inode: int) -> bytes:
    return _REQUEST.pack(socket.AF_UNIX, 0, 0, _ALL_STATES, inode, _SHOW_ALL, _NO_COOKIE, _NO_COOKIE)
