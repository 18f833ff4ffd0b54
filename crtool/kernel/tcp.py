"""TCP sockets that crtool itself has open: what TCP_INFO tells, repair mode, and segments made by hand.

Repair mode (TCP_REPAIR, since 3.5) lets a socket be bound, connected, filled and closed without a segment being sent,
and shows its queues and sequence numbers. Who sets it needs CAP_NET_ADMIN.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct

from crtool.abi import socket as socket_abi
from crtool.abi import tcp as abi
from crtool.abi.tcp import State
from crtool.kernel import sockets
from crtool.record import dataclass

__all__ = [
    "Info",
    "address",
    "drop_everything",
    "host_of",
    "info",
    "inject",
    "loopback",
    "peek",
    "peek_into",
    "put",
    "queue_length",
    "repair",
    "select_queue",
]

_SOL = socket_abi.SOL_TCP
_DROP = struct.pack("<HBBI", 0x06, 0, 0, 0)  # BPF_RET | BPF_K, 0
_MAPPED = bytes(10) + b"\xff\xff"
_PUT = 1 << 15  # bytes put into a receive queue at once: one buffer of the kernel each


@dataclass(frozen=True)
class Info:
    """The part of struct tcp_info that is of use here."""

    state: State
    timestamps: bool
    sack: bool
    snd_wscale: int  # −1: no window scaling
    rcv_wscale: int
    waiting: int  # of a listening socket: connections that nobody has accepted
    backlog: int  # of a listening socket: how many there may be
    was_connected: bool
    receive_threshold: int  # bytes of a window that may be offered for the time being


def info(fd: int) -> Info:
    """What the kernel tells of socket *fd*."""
    raw = sockets.getsockopt(fd, _SOL, abi.TCP_INFO, 256).ljust(abi.INFO.size, b"\0")
    values = abi.INFO.unpack_from(raw)
    state, options, scales = State(values[0]), values[5], values[6]
    scaled = bool(options & abi.TCPI_OPT_WSCALE)
    listening = state is State.LISTEN
    return Info(
        state=state,
        timestamps=bool(options & abi.TCPI_OPT_TIMESTAMPS),
        sack=bool(options & abi.TCPI_OPT_SACK),
        snd_wscale=scales & 15 if scaled else -1,
        rcv_wscale=scales >> 4 if scaled else -1,
        waiting=values[12] if listening else 0,
        backlog=values[13] if listening else 0,
        receive_threshold=values[22],
        was_connected=values[30] != 0,  # tcpi_rcv_space, chosen when the handshake is over
    )


def repair(fd: int, value: int) -> None:
    """Sets repair mode: REPAIR_ON, REPAIR_OFF or REPAIR_OFF_NO_WP."""
    sockets.setsockopt(fd, _SOL, abi.TCP_REPAIR, value)


def select_queue(fd: int, queue: int) -> None:
    """Chooses the queue that is meant by what follows, in repair mode."""
    sockets.setsockopt(fd, _SOL, abi.TCP_REPAIR_QUEUE, queue)


def queue_length(fd: int, request: int) -> int:
    """SIOCINQ, SIOCOUTQ or SIOCOUTQNSD: sequence numbers in a queue, a FIN that was not acknowledged included."""
    answer: bytes = fcntl.ioctl(fd, request, bytes(4))
    return int.from_bytes(answer, "little", signed=True)


def peek(fd: int, length: int) -> bytes:
    """At most *length* bytes of the receive queue, or in repair mode of the chosen one; they stay there."""
    if length <= 0:
        return b""
    with socket.socket(fileno=os.dup(fd)) as mine:
        try:
            return mine.recv(length, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""


def peek_into(fd: int, buffer: bytearray) -> int:
    """The same into *buffer*; returns how many bytes there were."""
    mine = socket.socket(0, 0, 0, fd)
    try:
        return mine.recv_into(buffer, 0, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return 0
    finally:
        mine.detach()


def put(fd: int, content: bytes) -> None:
    """Puts bytes into a queue, in repair mode, or sends them; never waits. Raises OSError if not all fit."""
    view = memoryview(content)
    while view:
        view = view[sockets.sendto(fd, bytes(view[:_PUT]), None, socket_abi.MSG_DONTWAIT) :]


def drop_everything(fd: int) -> None:
    """Lets *fd* hear nothing, by a filter: what arrives is neither answered nor acknowledged."""
    sockets.attach_filter(fd, _DROP)


def host_of(address: bytes) -> tuple[bytes, int]:
    """Host (4 or 16 bytes, an IPv4 one that is mapped into IPv6 as 4) and port of a struct sockaddr."""
    family, port = struct.unpack_from("<H", address)[0], struct.unpack_from(">H", address, 2)[0]
    if family == socket_abi.AF_INET:
        return address[4:8], port
    host = address[8:24]
    return (host[12:], port) if host[:12] == _MAPPED else (host, port)


def address(family: int, host: bytes, port: int) -> bytes:
    """The struct sockaddr of *family* for a host of 4 or 16 bytes."""
    head = family.to_bytes(2, "little") + port.to_bytes(2, "big")
    if family == socket_abi.AF_INET:
        return head + host + bytes(8)
    return head + bytes(4) + (host if len(host) == 16 else _MAPPED + host) + bytes(4)


def loopback(family: int, port: int) -> bytes:
    """The struct sockaddr of this machine itself."""
    return address(family, b"\x7f\0\0\1" if family == socket_abi.AF_INET else bytes(15) + b"\1", port)


def inject(source: bytes, target: bytes, seq: int, ack: int, flags: int, window: int, mark: int) -> None:
    """Lets a bare segment arrive at the local address *target*, as if *source* had sent it.

    Both are struct sockaddr; *window* is that of the header, of 16 bits; *mark* is on the packet.
    """
    (from_host, from_port), (to_host, to_port) = host_of(source), host_of(target)
    words = (from_port, to_port, seq & 0xFFFF_FFFF, ack & 0xFFFF_FFFF, 5 << 4, flags, window)
    length = abi.HEADER.size
    pseudo = from_host + to_host + struct.pack(">II", length, socket.IPPROTO_TCP)
    segment = abi.HEADER.pack(*words, _checksum(pseudo + abi.HEADER.pack(*words, 0, 0)), 0)
    if len(to_host) == 4:
        header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, socket.IPPROTO_TCP, 0) + from_host + to_host
        family, address = socket.AF_INET, socket_abi.AF_INET.to_bytes(2, "little") + bytes(2) + to_host + bytes(8)
    else:
        header = struct.pack(">IHBB", 6 << 28, length, socket.IPPROTO_TCP, 64) + from_host + to_host
        family, address = socket.AF_INET6, target[:2] + bytes(2) + target[4:]
    with sockets.opened(family, socket_abi.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        sockets.setsockopt(raw, socket_abi.SOL_SOCKET, socket_abi.SO_MARK, mark)
        sockets.sendto(raw, header + segment, address)


def _checksum(content: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(content) // 2}H", content))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
