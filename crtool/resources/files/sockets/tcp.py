"""TCP sockets (tcp(7)), over IPv4 and IPv6.

The kernel keeps addresses, a state, options, and of a connection both queues with their sequence numbers, windows,
and what both ends have agreed on: the size of segments, scaling, selective acknowledgements, timestamps.

We ask a borrowed descriptor for what is shown to everybody; the *keeper* (:mod:`.tcp_keeper`) reads the rest.

We rebuild a connection in repair mode, in crtool, without a segment being sent, and let it go on as the very last step
(:mod:`.tcp_remade`). A listening socket is bound anew and hears nothing until then. A FIN that the other end
has sent arrives again, made by hand.

Refused: urgent data that nobody has read, TLS in the kernel, eBPF filters, a handshake of TCP fast open. Lost, by
name: connections from outside that nobody has accepted, or that hold data already. Lost: segments out of order, which
the other end sends again; what the kernel has measured: round trips, the congestion window, counters of TCP_INFO.
"""

from __future__ import annotations

import os
import select
import socket
from functools import cache
from typing import TYPE_CHECKING

from crtool.abi import socket as socket_abi
from crtool.abi import tcp as abi
from crtool.abi.socket import SIOCINQ
from crtool.abi.tcp import State
from crtool.errors import Obstacle
from crtool.kernel import sockets, tcp
from crtool.record import dataclass, replace
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.sockets import options
from crtool.resources.files.sockets.option_table import OptionRecord
from crtool.resources.files.sockets.reuseport import SharingRecord
from crtool.resources.files.sockets.tcp_options import TABLE

if TYPE_CHECKING:
    from crtool.resources.files.sockets.tcp_keeper import Reading

__all__ = [
    "CONNECTED",
    "ConnectionRecord",
    "TcpRecord",
    "closed",
    "dump",
    "obstacle",
    "recognise",
    "show",
    "with_reading",
]

CONNECTED = frozenset(
    (State.ESTABLISHED, State.FIN_WAIT1, State.FIN_WAIT2, State.CLOSE_WAIT, State.LAST_ACK, State.CLOSING)
)
"""States in which there is another end."""

_FIN_RECEIVED = frozenset((State.CLOSE_WAIT, State.LAST_ACK, State.CLOSING))
_SHORTEST = 4  # bytes of a struct sockaddr that end with the port
_FAMILIES = (socket_abi.AF_INET, socket_abi.AF_INET6)


@dataclass(frozen=True)
class ConnectionRecord:
    """What the two ends of a connection know of each other. Sequence numbers do not count a FIN."""

    rcv_next: int  # sequence number of the byte behind the last that was received
    snd_next: int  # of the byte behind the last that was written
    received: bytes  # not read yet
    sent: bytes  # not acknowledged yet
    unsent: int  # bytes at the end of *sent* that have never been sent
    mss: int  # bytes of data in a segment that the other end can take
    snd_wscale: int  # −1 without window scaling
    rcv_wscale: int
    sack: bool
    timestamps: bool
    timestamp: int  # of this end's clock, with the kernel's bit for microseconds
    window: tuple[int, ...]  # snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup of struct tcp_repair_window
    clamp: int  # bytes that the window of this end may have at the most
    threshold: int  # bytes that it may have for the time being (tcpi_rcv_ssthresh)


@dataclass(frozen=True)
class TcpRecord:
    """One socket."""

    family: int  # AF_INET or AF_INET6
    flags: int  # O_* as fcntl(F_GETFL) gives them
    state: State
    local: bytes  # struct sockaddr
    remote: bytes  # struct sockaddr, empty if there is no other end
    backlog: int  # of a listening socket
    shut_read: bool  # shutdown(SHUT_RD) was called, or a connection has ended
    failed: bool  # an error waits to be fetched
    was_connected: bool  # it is, or has been, one end of a connection
    unread: bytes  # of a connection that has ended
    options: tuple[OptionRecord, ...]
    connection: ConnectionRecord | None
    outside: bool  # the other end is not in the tree
    waiting: bool  # the other end is in the tree, but nobody has accepted it
    sharing: SharingRecord | None  # of a port, by a program


def recognise(file: OpenFile) -> bool:
    """Whether *file* is a TCP socket."""
    family, kind, protocol = file.socket
    return family in _FAMILIES and kind == socket_abi.SOCK_STREAM and protocol == socket.IPPROTO_TCP


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why the socket cannot be saved, if so."""
    state = tcp.info(file.local).state
    if options.has_ebpf_filter(file.local):
        return Obstacle(file.pid, where, "a TCP socket with an eBPF filter cannot be saved", "detach the filter first")
    if name := _upper_protocol(file.local):
        cause = f"a TCP connection with {name} in the kernel cannot be saved"
        return Obstacle(file.pid, where, cause, "close it first")
    if state is State.SYN_RECV:
        return Obstacle(file.pid, where, "a TCP connection is in the middle of its handshake", "try again")
    if state in CONNECTED and _events(file.local) & select.POLLPRI:
        return Obstacle(file.pid, where, "a TCP connection has urgent data that were not read", "try again later")
    if state in CONNECTED and (problem := _why_no_repair()):
        return Obstacle(file.pid, where, f"a TCP connection cannot be saved: {problem}", "run crtool as root")
    return None


@cache
def _why_no_repair() -> str | None:
    with sockets.opened(socket_abi.AF_INET, socket_abi.SOCK_STREAM, socket.IPPROTO_TCP) as fd:
        try:
            tcp.repair(fd, abi.REPAIR_ON)
        except OSError as error:
            return f"TCP_REPAIR: {os.strerror(error.errno or 0)}"
    return None


def _upper_protocol(fd: int) -> str:
    try:
        return sockets.getsockopt(fd, socket_abi.SOL_TCP, abi.TCP_ULP, 16).rstrip(b"\0").decode()
    except OSError:  # there is none, or this kernel knows none
        return ""


def _events(fd: int) -> int:
    poll = select.poll()
    poll.register(fd, select.POLLPRI | select.POLLRDHUP)
    return next((events for _, events in poll.poll(0)), 0)


def dump(file: OpenFile) -> TcpRecord:
    """The record of *file*, without what is read in repair mode."""
    found = tcp.info(file.local)
    state, events = found.state, _events(file.local)
    ended = state is State.CLOSE and bool(events & select.POLLRDHUP)
    unread = tcp.queue_length(file.local, SIOCINQ) if ended else 0
    set_options = TABLE.dump(file.local)
    if state not in (State.CLOSE, State.LISTEN):
        # Of a connection the kernel shows what is used, not what was asked for.
        own = (socket_abi.SOL_TCP, abi.TCP_WINDOW_CLAMP)
        set_options = tuple(option for option in set_options if (option.level, option.name) != own)
    return TcpRecord(
        family=file.socket[0],
        flags=file.flags,
        state=state,
        local=sockets.getsockname(file.local),
        remote=sockets.getpeername(file.local) or b"",
        backlog=found.backlog,
        shut_read=bool(events & select.POLLRDHUP),
        failed=ended and bool(events & select.POLLERR),
        was_connected=state in CONNECTED or found.was_connected,
        unread=tcp.peek(file.local, unread),  # not a byte more: that would fetch the error
        options=set_options,
        connection=None,
        outside=False,
        waiting=False,
        sharing=None,
    )


def with_reading(record: TcpRecord, fd: int, reading: Reading) -> TcpRecord:
    """The whole record of a connection."""
    found = tcp.info(fd)
    connection = ConnectionRecord(
        rcv_next=reading.rcv_next,
        snd_next=reading.snd_next,
        received=reading.received,
        sent=reading.sent,
        unsent=reading.unsent,
        mss=reading.mss,
        snd_wscale=found.snd_wscale,
        rcv_wscale=found.rcv_wscale,
        sack=found.sack,
        timestamps=found.timestamps,
        timestamp=reading.timestamp,
        window=reading.window,
        clamp=sockets.integer(fd, socket_abi.SOL_TCP, abi.TCP_WINDOW_CLAMP),
        threshold=found.receive_threshold,
    )
    shut = bool(_events(fd) & select.POLLRDHUP) and reading.state not in _FIN_RECEIVED
    return replace(record, state=reading.state, connection=connection, shut_read=shut)


def closed(record: TcpRecord) -> TcpRecord:
    """The same socket, whose connection the other end has reset."""
    return replace(
        record,
        state=State.CLOSE,
        remote=b"",
        shut_read=True,
        failed=True,
        unread=record.connection.received if record.connection is not None else b"",
        connection=None,
        outside=False,
    )


def show(address: bytes) -> str:
    """An address as people write it; one that is none, as an image may have it, in hexadecimal digits."""
    if len(address) < _SHORTEST:
        return address.hex()
    host, port = tcp.host_of(address)
    if len(host) == 4:
        return f"{socket.inet_ntop(socket.AF_INET, host)}:{port}"
    if len(host) == 16:
        return f"[{socket.inet_ntop(socket.AF_INET6, host)}]:{port}"
    return address.hex()
