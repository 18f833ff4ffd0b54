"""Datagrams that have arrived and were not read yet (UDP, UDP-Lite).

The kernel keeps a queue of them in the socket, each with where it came from and went to.

We let the program itself peek at them (MSG_PEEK with SO_PEEK_OFF, which nobody can do from outside without a moment in
which the option is another), with the options on that tell destination and hop limit. A batch goes on to its end, where
everything is set back, even if crtool dies. crtool itself only looks whether there is anything.

We put them back by sending them again, with the old source, from a raw socket over the loopback device, to which the
new socket is bound meanwhile: so it gets them, and nobody else does.

Lost, by name: what was sent to a group or was broadcast, and what does not arrive; times and network devices of
arrival; empty datagrams that somebody has peeked at before, but for the first.
"""

from __future__ import annotations

import array
import os
import select
import struct
import time
from collections.abc import Callable, Iterator

from crtool.abi import ip
from crtool.abi import socket as abi
from crtool.kernel import sockets
from crtool.puppet.batch import Batch, Buffer, Call
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass
from crtool.resources.files.sockets.guard import Guard, Value
from crtool.resources.files.sockets.identity import family_of, port_of

__all__ = ["DatagramRecord", "peek", "put_back", "waiting"]

_LARGEST = 65536  # bytes of a datagram, at most
_CONTROL = 512
_AT_ONCE = 8  # datagrams of a batch: they fit into the scratch mapping
_PATIENCE = 2.0  # seconds for a datagram to come round
_TELLING = {
    abi.AF_INET: ((abi.SOL_IP, ip.IP_RECVORIGDSTADDR), (abi.SOL_IP, ip.IP_RECVTTL), (abi.SOL_IP, ip.IP_RECVTOS)),
    abi.AF_INET6: (
        (abi.SOL_IPV6, ip.IPV6_RECVORIGDSTADDR),
        (abi.SOL_IPV6, ip.IPV6_RECVHOPLIMIT),
        (abi.SOL_IPV6, ip.IPV6_RECVTCLASS),
    ),
}
_IPV6_HOPLIMIT = 52
_CMSG = struct.Struct("<Qii")
_MAPPED = bytes(10) + b"\xff\xff"


@dataclass(frozen=True)
class DatagramRecord:
    """One datagram."""

    source: bytes  # struct sockaddr_in or sockaddr_in6
    destination: bytes  # the same, empty if unknown
    hops: int  # TTL or hop limit that was left
    traffic: int  # TOS or traffic class
    segment: int  # bytes of the datagrams that the kernel has joined to this one (UDP_GRO), else 0
    content: bytes


def waiting(fd: int) -> bool:
    """Whether there is something unread; *fd* is our own."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))


# -- peeking, in the target --------------------------------------------------------------------------------


def peek(puppet: Puppet, fd: int, local: int, family: int, guard: Guard) -> tuple[DatagramRecord, ...]:
    """All unread datagrams of descriptor *fd* of *puppet*, in order; *local* is our own descriptor of it.

    *guard*: if crtool dies where a batch is made call by call, nothing else sets the options back.
    """
    telling = _TELLING[abi.AF_INET] + (_TELLING[abi.AF_INET6] if family == abi.AF_INET6 else ())
    usual = [(level, name, sockets.getsockopt(local, level, name)) for level, name in telling]
    usual.append((abi.SOL_SOCKET, abi.SO_PEEK_OFF, sockets.getsockopt(local, abi.SOL_SOCKET, abi.SO_PEEK_OFF)))
    guard.watch(local, usual)
    try:
        return _peek(puppet, fd, usual)
    finally:
        guard.forget()


def _peek(puppet: Puppet, fd: int, usual: list[Value]) -> tuple[DatagramRecord, ...]:
    found: list[DatagramRecord] = []
    while True:
        batch = Batch()
        for level, name, _ in usual[:-1]:
            batch.call("setsockopt", fd, level, name, (1).to_bytes(4, "little"), 4, must=False)
        offset = sum(len(record.content) for record in found)
        batch.call("setsockopt", fd, abi.SOL_SOCKET, abi.SO_PEEK_OFF, offset.to_bytes(4, "little"), 4, must=False)
        peeks = [_add_peek(batch, fd) for _ in range(_AT_ONCE)]
        for level, name, value in reversed(usual):
            batch.call("setsockopt", fd, level, name, value, len(value), must=False)
        puppet.run(batch)
        new = [_recorded(*peeked) for peeked in peeks if peeked[0].ok]
        found += new
        if len(new) < _AT_ONCE:
            return tuple(found)


def _add_peek(batch: Batch, fd: int) -> tuple[Call, Buffer, Buffer, Buffer]:
    name, content, control = batch.buffer(128), batch.buffer(_LARGEST), batch.buffer(_CONTROL)
    vector = batch.buffer(16, struct.pack("<QQ", 0, _LARGEST), {0: content})
    # struct msghdr: name, its length, vectors, their number, control data, their length, flags
    header = struct.pack("<QI4xQQQQi4x", 0, 128, 0, 1, 0, _CONTROL, 0)
    message = batch.buffer(len(header), header, {0: name, 16: vector, 32: control})
    call = batch.call("recvmsg", fd, message, abi.MSG_PEEK | abi.MSG_DONTWAIT, must=False, label="peek")
    return call, name, content, control


def _recorded(call: Call, name: Buffer, content: Buffer, control: Buffer) -> DatagramRecord:
    source = _cut(name.read())
    destination, hops, traffic, segment = b"", 64, 0, 0
    for level, kind, value in _control_messages(control.read()):
        if (level, kind) in ((abi.SOL_IP, ip.IP_RECVORIGDSTADDR), (abi.SOL_IPV6, ip.IPV6_RECVORIGDSTADDR)):
            destination = _cut(value)
        elif (level, kind) in ((abi.SOL_IP, ip.IP_TTL), (abi.SOL_IPV6, _IPV6_HOPLIMIT)):
            hops = value[0]
        elif (level, kind) in ((abi.SOL_IP, ip.IP_TOS), (abi.SOL_IPV6, ip.IPV6_TCLASS)):
            traffic = value[0]
        elif (level, kind) == (abi.SOL_UDP, ip.UDP_GRO):
            segment = int.from_bytes(value[:4], "little")
    return DatagramRecord(source, destination, hops, traffic, segment, content.read()[: call.raw])


def _cut(address: bytes) -> bytes:
    size = {abi.AF_INET: ip.SOCKADDR_IN.size, abi.AF_INET6: ip.SOCKADDR_IN6.size}.get(family_of(address), 0)
    return address[:size]


def _control_messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The control messages (cmsg(3)) at the beginning of zeroed memory."""
    position = 0
    while position + _CMSG.size <= len(data):
        length, level, kind = _CMSG.unpack_from(data, position)
        if length < _CMSG.size:
            return
        yield level, kind, data[position + _CMSG.size : position + length]
        position += -(-length // 8) * 8


# -- putting back, from crtool --------------------------------------------------------------------------------


def put_back(
    fd: int, bound: bytes, protocol: int, records: tuple[DatagramRecord, ...], lost: Callable[[str], None]
) -> None:
    """Fills the queue of *fd*, which is bound to *bound* and not connected. *lost* is told how many are not back."""
    if not records:
        return
    device = sockets.getsockopt(fd, abi.SOL_SOCKET, abi.SO_BINDTODEVICE, 16).rstrip(b"\0")
    missing = len(records)
    try:
        sockets.setsockopt(fd, abi.SOL_SOCKET, abi.SO_BINDTODEVICE, b"lo")
        try:
            missing = sum(not _send(fd, bound, protocol, record) for record in records)
        finally:
            sockets.setsockopt(fd, abi.SOL_SOCKET, abi.SO_BINDTODEVICE, device)
    except PermissionError:  # without CAP_NET_RAW
        pass
    if missing:
        lost(f"{missing} of {len(records)} unread datagrams could not be put back and are lost")


def _send(fd: int, bound: bytes, protocol: int, record: DatagramRecord) -> bool:
    """Sends one datagram to *fd*; whether it has arrived."""
    packed = [_plain(address) for address in (record.source, record.destination or bound)]
    source, destination = packed
    if not any(destination):
        destination = b"\x7f\0\0\x01" if len(source) == 4 else bytes(15) + b"\x01"
    if len(source) != len(destination) or _is_group(destination):
        return False
    step = record.segment or len(record.content) or 1
    pieces = [record.content[start : start + step] for start in range(0, max(1, len(record.content)), step)]
    ports = port_of(record.source), port_of(bound)
    packets = [_packet(protocol, source, destination, ports, record, piece) for piece in pieces]
    return all(_send_piece(fd, packet) for packet in packets)


def _plain(address: bytes) -> bytes:
    """The address alone; of one of IPv4 in an address of IPv6, that."""
    if family_of(address) == abi.AF_INET:
        return address[4:8]
    six = address[8:24]
    return six[12:] if six.startswith(_MAPPED) else six


def _is_group(address: bytes) -> bool:
    """Whether it is one of multicast, or the broadcast address."""
    return address[0] == 0xFF or (len(address) == 4 and (address[0] & 0xF0 == 0xE0 or address == b"\xff\xff\xff\xff"))


def _packet(
    protocol: int,
    source: bytes,
    destination: bytes,
    ports: tuple[int, int],
    record: DatagramRecord,
    content: bytes,
) -> bytes:
    """The whole packet of IP."""
    six = len(source) == 16
    covered = 8 + len(content) if protocol == ip.IPPROTO_UDP else 0  # UDP-Lite: 0 stands for all
    payload = bytearray(struct.pack(">HHHH", *ports, covered, 0) + content)
    pseudo = source + destination + struct.pack(">II", len(payload), protocol)
    payload[6:8] = struct.pack(">H", _checksum(pseudo + payload) or 0xFFFF)  # 0 stands for none
    if six:
        head = struct.pack(">IHBB", 0x6000_0000 | record.traffic << 20, len(payload), protocol, record.hops)
        return head + source + destination + payload
    # Length, identification and checksum are filled in by the kernel.
    head = struct.pack(">BBHHHBBH", 0x45, record.traffic, 0, 0, 0, record.hops, protocol, 0)
    return head + source + destination + payload


def _checksum(data: bytes | bytearray) -> int:
    """RFC 1071."""
    words = array.array("H", bytes(data) + bytes(len(data) % 2))
    words.byteswap()
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _send_piece(fd: int, packet: bytes) -> bool:
    six = packet[0] >> 4 == 6
    family = abi.AF_INET6 if six else abi.AF_INET
    before = _queued(fd)
    with sockets.opened(family, abi.SOCK_RAW, ip.IPPROTO_RAW) as raw:
        try:
            if six:
                sockets.setsockopt(raw, abi.SOL_IPV6, ip.IPV6_HDRINCL, 1)
                address = ip.SOCKADDR_IN6.pack(family, bytes(2), 0, packet[24:40], 0)
            else:
                address = ip.SOCKADDR_IN.pack(family, bytes(2), packet[16:20])
            sockets.sendto(raw, packet, address)
        except PermissionError:
            raise
        except OSError:
            return False
    until = time.monotonic() + _PATIENCE
    while _queued(fd) == before:
        if time.monotonic() > until:
            return False
        os.sched_yield()
    return True


def _queued(fd: int) -> int:
    """Bytes of memory that the receive queue takes (SK_MEMINFO_RMEM_ALLOC)."""
    return int.from_bytes(sockets.getsockopt(fd, abi.SOL_SOCKET, abi.SO_MEMINFO, 4), "little")
