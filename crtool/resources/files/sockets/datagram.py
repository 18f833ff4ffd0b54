"""UDP, UDP-Lite, ping and raw sockets, of IPv4 and IPv6.

The kernel keeps in such a socket its address and port, the address of a peer if it is connected, which directions are
shut down, options, memberships of multicast groups, unread datagrams, and a datagram that is being put together.

We ask a borrowed descriptor (getsockname(2), getsockopt(2)) and, where that does not tell, sock_diag(7) and
/proc/PID/net/raw; unread datagrams are peeked at by the program itself (:mod:`.unread`).

We rebuild it by socket(2), options, bind(2), unread datagrams, connect(2), memberships, shutdown(2), the other options.
Port and address are bound even where the kernel had chosen them: a socket that is disconnected later keeps them.

Refused: a datagram that is being put together (UDP_CORK, MSG_MORE); kernel tunnels behind a socket. Lost, by name:
unread packets of raw and ping sockets and of groups that share a port (SO_REUSEPORT).
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import time
from collections.abc import Callable

from crtool.abi import ip
from crtool.abi import socket as abi
from crtool.errors import EnvironmentDiffers, Obstacle
from crtool.kernel import sockets
from crtool.kernel.sock_diag import SockDiag, attributes
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.sockets import ip_options, multicast, options, reuseport, unread
from crtool.resources.files.sockets.guard import Guard
from crtool.resources.files.sockets.identity import any_address, facts, line_of, port_of, shown_address, who_has_port
from crtool.resources.files.sockets.multicast import MembershipRecord
from crtool.resources.files.sockets.option_table import FILLED, FRESH, Option, OptionRecord, OptionTable
from crtool.resources.files.sockets.reuseport import SharingRecord
from crtool.resources.files.sockets.unread import DatagramRecord

__all__ = ["InetRecord", "dump", "obstacle", "recognise", "restore"]

_TABLE = OptionTable(
    *ip_options.OPTIONS,
    Option(abi.SOL_RAW, ip.ICMP_FILTER, "ICMP_FILTER", when=FILLED),
    Option(ip.SOL_ICMPV6, ip.ICMPV6_FILTER, "ICMPV6_FILTER", size=32, when=FILLED),
    Option(abi.SOL_UDP, ip.UDP_NO_CHECK6_TX, "UDP_NO_CHECK6_TX"),
    Option(abi.SOL_UDP, ip.UDP_NO_CHECK6_RX, "UDP_NO_CHECK6_RX"),
    Option(abi.SOL_UDP, ip.UDP_SEGMENT, "UDP_SEGMENT"),
    Option(abi.SOL_UDP, ip.UDP_GRO, "UDP_GRO"),
    Option(abi.SOL_UDPLITE, ip.UDPLITE_SEND_CSCOV, "UDPLITE_SEND_CSCOV"),
    Option(abi.SOL_UDPLITE, ip.UDPLITE_RECV_CSCOV, "UDPLITE_RECV_CSCOV", when=FILLED),
    *options.OPTIONS,
    Option(abi.SOL_UDP, ip.UDP_ENCAP, "UDP_ENCAP", when=FILLED),
    Option(abi.SOL_UDP, ip.UDP_CORK, "UDP_CORK", when=FILLED),
)
_UDP = (ip.IPPROTO_UDP, ip.IPPROTO_UDPLITE)
_PING = (ip.IPPROTO_ICMP, ip.IPPROTO_ICMPV6)
_NAMES = {ip.IPPROTO_UDP: "UDP", ip.IPPROTO_UDPLITE: "UDP-Lite", ip.IPPROTO_ICMP: "ping", ip.IPPROTO_ICMPV6: "ping"}
_TABLES = {ip.IPPROTO_UDP: "udp", ip.IPPROTO_UDPLITE: "udplite", ip.IPPROTO_ICMP: "icmp", ip.IPPROTO_ICMPV6: "icmp"}
_TUNNELS = 3  # UDP_ENCAP_L2TPINUDP and above belong to drivers of the kernel; below is IPsec
_LEAVING = 0.05  # seconds in which what was sent has left the socket
_CONNECTED = 1  # TCP_ESTABLISHED, also of sockets that do not speak TCP
_DIAG_SHUTDOWN = 8  # INET_DIAG_SHUTDOWN
_DIAG_REQUEST = struct.Struct("<BBBxI2s2s16s16sI8s")  # struct inet_diag_req_v2
_DIAG_MESSAGE = 72  # bytes of struct inet_diag_msg


@dataclass(frozen=True)
class InetRecord:
    """A datagram or raw socket."""

    family: int  # AF_INET, AF_INET6
    kind: int  # SOCK_DGRAM, SOCK_RAW
    protocol: int  # IPPROTO_*
    flags: int  # O_* as fcntl(F_GETFL) gives them
    local: bytes  # struct sockaddr_in or sockaddr_in6; empty if it is not bound
    remote: bytes  # the same of the peer, empty if it is not connected
    shutdown: int  # 1: nothing is received any more, 2: nothing is sent
    options: tuple[OptionRecord, ...]
    memberships: tuple[MembershipRecord, ...]
    unread: tuple[DatagramRecord, ...]
    sharing: SharingRecord | None  # of a port, by a program


def recognise(file: OpenFile) -> bool:
    """Whether *file* is such a socket."""
    family, kind, protocol = facts(file)
    if family not in (abi.AF_INET, abi.AF_INET6):
        return False
    return kind == abi.SOCK_RAW or (kind == abi.SOCK_DGRAM and protocol in _UDP + _PING)


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why the socket cannot be saved, if so."""
    if options.has_ebpf_filter(file.local):
        return Obstacle(file.pid, where, "a socket with an eBPF filter cannot be saved", "detach it")
    _, kind, protocol = file.socket
    if kind == abi.SOCK_RAW or protocol not in _UDP:
        return None
    if sockets.integer(file.local, abi.SOL_UDP, ip.UDP_ENCAP) >= _TUNNELS:
        return Obstacle(file.pid, where, "a UDP socket is the end of a tunnel of the kernel's", "take the tunnel down")
    if _unsent(file.local):
        why = "a UDP socket holds a datagram that is not complete (UDP_CORK, MSG_MORE)"
        return Obstacle(file.pid, where, why, "try again, or let the program send it")
    return None


def _unsent(fd: int) -> bool:
    """Whether the socket holds something that does not leave it by itself."""
    until = time.monotonic() + _LEAVING
    while int.from_bytes(fcntl.ioctl(fd, abi.SIOCOUTQ, bytes(4)), "little"):
        if time.monotonic() > until:
            return True
        time.sleep(0.002)
    return False


# -- asking -------------------------------------------------------------------------------------------------


def dump(
    file: OpenFile,
    puppet: Callable[[OpenFile], Puppet | None],
    guard: Guard,
    lost: Callable[[OpenFile, str], None],
) -> InetRecord:
    """The record of *file*. *puppet* gives the task whose descriptor it is, *guard* puts back what is changed for a
    look; *lost* is told what does not come back.
    """
    family, kind, protocol = file.socket
    bound, peer = _ends(file, family, kind, protocol)
    chosen = _TABLE.dump(file.local)
    return InetRecord(
        family=family,
        kind=kind,
        protocol=protocol,
        flags=file.flags,
        local=bound,
        remote=peer,
        shutdown=_shutdown(file.local, family, protocol, bound, peer),
        options=chosen,
        memberships=multicast.dump(file.pid, file.local, family),
        unread=_unread(file, family, kind, protocol, puppet, guard, lost),
        sharing=None,
    )


def _ends(file: OpenFile, family: int, kind: int, protocol: int) -> tuple[bytes, bytes]:
    """Own address and that of the peer."""
    bound, peer = sockets.getsockname(file.local), sockets.getpeername(file.local) or b""
    if not peer and (kind == abi.SOCK_RAW or protocol in _PING):
        # A peer without a port is not told by getpeername(2).
        table = ("raw" if kind == abi.SOCK_RAW else "icmp") + ("6" if family == abi.AF_INET6 else "")
        line = line_of(file.pid, table, file.stat.st_ino)
        if line is not None and line.state == _CONNECTED:
            peer = line.remote
    plain = bound[:2] + bytes(2) + bound[4:] if kind == abi.SOCK_RAW else bound  # what is no port but the protocol
    return (b"" if plain == any_address(family) else bound), peer


def _shutdown(fd: int, family: int, protocol: int, bound: bytes, peer: bytes) -> int:
    """Which directions are shut down; poll(2) tells both or the receiving one, sock_diag(7) also the sending one."""
    poll = select.poll()
    poll.register(fd, select.POLLRDHUP)
    events = dict(poll.poll(0)).get(fd, 0)
    if events & select.POLLHUP:
        return 3
    if events & select.POLLRDHUP:
        return 1
    if protocol not in _UDP or not bound:
        return 0
    cookie = sockets.getsockopt(fd, abi.SOL_SOCKET, abi.SO_COOKIE, 8)
    own, other = _diag_address(bound), _diag_address(peer or any_address(family))
    # Source and destination are those of a packet that comes in (udp_dump_one).
    question = _DIAG_REQUEST.pack(
        family, protocol, 1 << (_DIAG_SHUTDOWN - 1), 0xFFFF_FFFF, other[:2], own[:2], other[2:], own[2:], 0, cookie
    )
    try:
        with SockDiag() as line:
            answer = line.one(question)
    except OSError:  # a kernel without it
        return 0
    if answer is None:
        return 0
    return attributes(answer[_DIAG_MESSAGE:]).get(_DIAG_SHUTDOWN, b"\0")[0]


def _diag_address(address: bytes) -> bytes:
    """Port and address, as struct inet_diag_sockid has them."""
    start = 4 if len(address) == ip.SOCKADDR_IN.size else 8
    return address[2:4] + (address[4:8] + bytes(12) if start == 4 else address[8:24])


def _unread(
    file: OpenFile,
    family: int,
    kind: int,
    protocol: int,
    puppet: Callable[[OpenFile], Puppet | None],
    guard: Guard,
    lost: Callable[[OpenFile, str], None],
) -> tuple[DatagramRecord, ...]:
    if not unread.waiting(file.local):
        return ()
    holder = None
    if kind == abi.SOCK_DGRAM and protocol in _UDP:
        if sockets.integer(file.local, abi.SOL_SOCKET, abi.SO_REUSEPORT):
            lost(file, "what a socket that shares its port has not read")
            return ()
        holder = puppet(file)
    if holder is None:
        lost(file, "what the socket has not read")
        return ()
    return unread.peek(holder, file.fd, file.local, family, guard)


# -- giving back --------------------------------------------------------------------------------------------


def restore(record: InetRecord, warn: Callable[[str], None]) -> int:
    """A new socket like it."""
    shown = _shown(record)
    try:
        fd = sockets.socket(record.family, record.kind, record.protocol)
    except OSError as error:
        remedy = "run crtool with CAP_NET_RAW" if error.errno in (errno.EPERM, errno.EACCES) else None
        raise EnvironmentDiffers(f"{shown} cannot be made: {os.strerror(error.errno or 0)}", remedy) from None
    try:
        _complete(fd, record, shown, warn)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _complete(fd: int, record: InetRecord, shown: str, warn: Callable[[str], None]) -> None:
    _TABLE.restore(fd, record.options, FRESH, shown, warn)
    if record.local:
        _bind(fd, record, shown)
    reuseport.attach(fd, record.sharing, shown)
    unread.put_back(fd, record.local, record.protocol, record.unread, lambda text: warn(f"{shown}: {text}"))
    if record.remote:
        try:
            sockets.connect(fd, record.remote)
        except OSError as error:
            where = shown_address(record.remote)
            raise EnvironmentDiffers(
                f"{shown} cannot be connected to {where}: {os.strerror(error.errno or 0)}",
                "give this machine a route to it",
            ) from None
    multicast.restore(fd, record.memberships, shown)
    if record.shutdown:
        try:
            sockets.shutdown(fd, record.shutdown - 1)
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # which is said of one without a peer, though it is done
                raise
    _TABLE.restore(fd, record.options, FILLED, shown, warn)
    fcntl.fcntl(fd, fcntl.F_SETFL, record.flags & ~os.O_ACCMODE & ~os.O_ASYNC)


def _bind(fd: int, record: InetRecord, shown: str) -> None:
    try:
        sockets.bind(fd, record.local)
    except OSError as error:
        remedy = None
        text = f"{shown} cannot be bound: {os.strerror(error.errno or 0)}"
        if error.errno == errno.EADDRINUSE:
            table = _TABLES.get(record.protocol, "udp")
            text = f"{shown}: its port is taken: {who_has_port((table, table + '6'), port_of(record.local))}"
            remedy = "end that, or wait for its end"
        elif error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
            text = f"{shown}: this machine does not have the address"
            remedy = "give it to a network device (ip address add), or restart on the machine that has it"
        elif error.errno == errno.EACCES:
            remedy = "run crtool with CAP_NET_BIND_SERVICE"
        raise EnvironmentDiffers(text, remedy) from None


def _shown(record: InetRecord) -> str:
    name = "raw" if record.kind == abi.SOCK_RAW else _NAMES.get(record.protocol, str(record.protocol))
    return f"a {name} socket" + (f" of {shown_address(record.local)}" if record.local else "")
