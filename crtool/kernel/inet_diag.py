"""TCP sockets as the kernel lists them, also those that no descriptor leads to: inet_diag of sock_diag(7).

Source: linux/inet_diag.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress

from crtool.kernel.sock_diag import SockDiag
from crtool.record import dataclass

__all__ = ["DiagSocket", "end_time_waits", "tcp_sockets"]

_REQUEST = struct.Struct("<BBBBI48s")  # struct inet_diag_req_v2: family, protocol, extensions, 0, states, socket ID
_ANSWER = struct.Struct("<4B2s2s16s16sI8xIIIII")  # struct inet_diag_msg
_TIME_WAIT = 6
_MAPPED = bytes(10) + b"\xff\xff"


@dataclass(frozen=True)
class DiagSocket:
    """One socket."""

    state: int  # TCP_*
    host: bytes  # 4 bytes, or 16
    port: int
    other_host: bytes
    other_port: int
    unread: int  # bytes; of a listening socket: connections that nobody has accepted
    inode: int  # 0: no descriptor leads to it


def tcp_sockets(states: Iterable[int]) -> Iterator[DiagSocket]:
    """All TCP sockets of this network namespace that are in one of *states*."""
    mask = sum(1 << state for state in states)
    with SockDiag() as line:
        for family in (socket.AF_INET, socket.AF_INET6):
            for answer in line.all(_REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, mask, bytes(48))):
                found = _ANSWER.unpack_from(answer)
                port, other_port = (int.from_bytes(found[index], "big") for index in (4, 5))
                host, other = (_host(family, found[index]) for index in (6, 7))
                yield DiagSocket(found[1], host, port, other, other_port, found[10], found[13])


def end_time_waits(port: int) -> bool:
    """Ends the wait of connections in TIME_WAIT whose port here is *port*; says whether there were any.

    They have no owner any more; but whoever wants the port is in their way, unless it and they have SO_REUSEADDR.
    """
    found = False
    with SockDiag() as line:
        for family in (socket.AF_INET, socket.AF_INET6):
            for answer in list(line.all(_REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << _TIME_WAIT, bytes(48)))):
                identity = answer[4:52]  # struct inet_diag_sockid
                if int.from_bytes(identity[:2], "big") == port:
                    with suppress(OSError):
                        line.destroy(_REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << _TIME_WAIT, identity))
                        found = True
    return found


def _host(family: int, raw: bytes) -> bytes:
    if family == socket.AF_INET:
        return raw[:4]
    return raw[12:] if raw.startswith(_MAPPED) else raw
