"""Packet sockets (packet(7)).

The kernel keeps which frames are wanted (protocol and network device), memberships, options, a fanout group, rings that
are mapped, counters, and frames that were not read yet.

We ask a borrowed descriptor; memberships, rings and fanout groups by sock_diag(7). Counters are not asked for: asking
sets them to zero.

We rebuild it by socket(2) without a protocol, options, memberships on the device of the same name, and bind(2), with
which it begins to receive; then the fanout group.

What is in rings is a matter of :mod:`.packet_rings`.

Refused: rings of version 3, fanout by a program. Lost, by name: unread frames. Lost: counters.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import termios
from collections.abc import Callable

from crtool.abi import socket as abi
from crtool.errors import EnvironmentDiffers, Obstacle, ObstacleError
from crtool.kernel import packet_diag, sockets
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.sockets import options, packet_rings
from crtool.resources.files.sockets.identity import facts
from crtool.resources.files.sockets.option_table import (
    FILLED,
    FRESH,
    Option,
    OptionRecord,
    OptionTable,
    device_index,
    network_device,
)
from crtool.resources.files.sockets.packet_rings import RingsRecord

__all__ = ["FrameMembershipRecord", "PacketRecord", "dump", "is_sound", "obstacle", "opened", "recognise", "restore"]

_ADD_MEMBERSHIP, _FANOUT = 1, 18
_FANOUT_PROGRAMS = {6: "a program", 7: "an eBPF program"}  # PACKET_FANOUT_CBPF, _EBPF
_OWN = tuple(
    Option(abi.SOL_PACKET, number, f"PACKET_{name}")
    for number, name in (
        (7, "COPY_THRESH"),
        (8, "AUXDATA"),
        (9, "ORIGDEV"),
        (10, "VERSION"),
        (12, "RESERVE"),
        (14, "LOSS"),
        (24, "VNET_HDR_SZ"),
        (15, "VNET_HDR"),
        (17, "TIMESTAMP"),
        (19, "TX_HAS_OFF"),
        (20, "QDISC_BYPASS"),
        (23, "IGNORE_OUTGOING"),
    )
)
_TABLE = OptionTable(*_OWN, *options.OPTIONS)
_BEFORE_RINGS = OptionTable(*(option for option in _OWN if option.name in (10, 12, 14, 24, 15, 19)))
_ADDRESS = struct.Struct("<H2siHBB8s")  # struct sockaddr_ll: family, protocol, device, type, kind, address
_REQUEST = struct.Struct("<iHH8s")  # struct packet_mreq: device, kind, length, address


@dataclass(frozen=True)
class FrameMembershipRecord:
    """What is wanted beyond what the device receives anyway."""

    device: bytes  # name of the network device
    kind: int  # PACKET_MR_MULTICAST, PROMISC, ALLMULTI, UNICAST
    address: bytes  # of the hardware
    count: int  # how often it was asked for


@dataclass(frozen=True)
class PacketRecord:
    """A packet socket."""

    kind: int  # SOCK_RAW, SOCK_DGRAM
    protocol: bytes  # ETH_P_*, two bytes in network order; zero: nothing is received
    flags: int  # O_* as fcntl(F_GETFL) gives them
    device: bytes  # name of the network device, empty: all
    memberships: tuple[FrameMembershipRecord, ...]
    fanout: int  # PACKET_FANOUT: id, type, flags; −1: in no group
    options: tuple[OptionRecord, ...]
    rings: RingsRecord | None = None


def recognise(file: OpenFile) -> bool:
    """Whether *file* is a packet socket."""
    return facts(file)[0] == abi.AF_PACKET


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why the socket cannot be saved, if so."""
    if facts(file)[1] == abi.SOCK_PACKET:
        return Obstacle(file.pid, where, "a packet socket of the obsolete kind SOCK_PACKET", "close it first")
    if options.has_ebpf_filter(file.local):
        return Obstacle(file.pid, where, "a packet socket with an eBPF filter cannot be saved", "detach it")
    try:
        info = packet_diag.look(file.stat.st_ino)
    except OSError:
        return Obstacle(file.pid, where, "a packet socket, of which this kernel does not tell enough", "close it first")
    if info is None:
        return Obstacle(file.pid, where, "a packet socket of another network namespace", "run crtool inside that")
    if info.has_ring and (found := packet_rings.obstacle(file, where, info)) is not None:
        return found
    if info.fanout is not None and (name := _FANOUT_PROGRAMS.get(info.fanout >> 16 & 0xFF)):
        return Obstacle(file.pid, where, f"a packet socket in a group that {name} distributes among", "leave the group")
    if _ADDRESS.unpack(sockets.getsockname(file.local).ljust(_ADDRESS.size, b"\0"))[2] < 0:
        return Obstacle(file.pid, where, "a packet socket whose network device is gone", "close it first")
    return None


def dump(file: OpenFile, lost: Callable[[OpenFile, str], None], inode: Callable[[OpenFile], int]) -> PacketRecord:
    """The record of *file*; *lost* is told what does not come back, *inode* gives memory that it shares its index."""
    _, kind, _ = sockets.facts(file.local)
    _, protocol, index, *_ = _ADDRESS.unpack(sockets.getsockname(file.local).ljust(_ADDRESS.size, b"\0"))
    info = packet_diag.look(file.stat.st_ino)
    memberships = () if info is None else info.memberships
    in_group = info is not None and info.fanout is not None
    rings = None
    if info is not None and info.has_ring:
        try:
            rings = packet_rings.dump(file.local, info, inode(file))
        except OSError as error:
            cause = f"the rings of a packet socket cannot be read: {error.strerror}"
            raise ObstacleError([Obstacle(file.pid, f"fd {file.fd}", cause, "try again")]) from None
    if _has_unread(file.local, rings):
        lost(file, "what the packet socket has not read")
    return PacketRecord(
        kind=kind,
        protocol=protocol,
        flags=file.flags,
        device=network_device(file.local, index) if index else b"",
        memberships=tuple(
            FrameMembershipRecord(network_device(file.local, one.index), one.kind, one.address, one.count)
            for one in memberships
        ),
        fanout=sockets.integer(file.local, abi.SOL_PACKET, _FANOUT) & 0xFFFF_FFFF if in_group else -1,
        options=_TABLE.dump(file.local),
        rings=rings,
    )


def _has_unread(fd: int, rings: RingsRecord | None) -> bool:
    """Whether frames wait for recv(2): beside a ring, those that do not fit into it (PACKET_COPY_THRESH)."""
    if rings is not None and rings.received.frames:
        return any(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))


def is_sound(record: PacketRecord) -> bool:
    """Whether its rings can be like that: who has received frames has a protocol for good."""
    rings = record.rings
    return rings is None or (packet_rings.is_sound(rings) and (any(record.protocol) or not rings.received.head))


def opened(record: object, fd: int) -> dict[tuple[int, int], int]:
    """If *record* is that of socket *fd* with rings: under which inode and access mode *fd* is to be mapped."""
    if not isinstance(record, PacketRecord) or record.rings is None:
        return {}
    return {(record.rings.inode, mode): fd for mode in (os.O_RDWR, os.O_RDONLY)}


def restore(record: PacketRecord, warn: Callable[[str], None]) -> int:
    """A new socket like it."""
    shown = "a packet socket" + (f" on {os.fsdecode(record.device)}" if record.device else "")
    try:
        fd = sockets.socket(abi.AF_PACKET, record.kind, 0)
    except OSError as error:
        remedy = "run crtool with CAP_NET_RAW" if error.errno == errno.EPERM else None
        raise EnvironmentDiffers(f"{shown} cannot be made: {os.strerror(error.errno or 0)}", remedy) from None
    try:
        if record.rings is not None:
            _rebuild(fd, record, record.rings, shown, warn)
        _TABLE.restore(fd, record.options, FRESH, shown, warn)
        _TABLE.restore(fd, record.options, FILLED, shown, warn)  # before it begins to receive: nothing is put back
        _attach(fd, record, shown)
        fcntl.fcntl(fd, fcntl.F_SETFL, record.flags & ~os.O_ACCMODE & ~os.O_ASYNC)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _rebuild(fd: int, record: PacketRecord, rings: RingsRecord, shown: str, warn: Callable[[str], None]) -> None:
    """What a ring depends on cannot be set when it is there; what filters frames must not be set yet."""
    known = {(option.level, option.name) for option in _BEFORE_RINGS.options}
    first = [option for option in record.options if (option.level, option.name) in known]
    _BEFORE_RINGS.restore(fd, first, FRESH, shown, warn)
    try:
        packet_rings.restore(fd, rings, record.kind)
    except OSError as error:
        cause = f"the rings of {shown} cannot be rebuilt: {error.strerror}"
        remedy = "bring the loopback device up: ip link set lo up" if error.errno in (0, errno.ENETDOWN) else None
        raise EnvironmentDiffers(cause, remedy) from None


def _attach(fd: int, record: PacketRecord, shown: str) -> None:
    try:
        for one in record.memberships:
            request = _REQUEST.pack(device_index(fd, one.device), one.kind, len(one.address), one.address)
            for _ in range(one.count):
                sockets.setsockopt(fd, abi.SOL_PACKET, _ADD_MEMBERSHIP, request)
        if record.device or any(record.protocol):
            index = device_index(fd, record.device) if record.device else 0
            sockets.bind(fd, _ADDRESS.pack(abi.AF_PACKET, record.protocol, index, 0, 0, 0, b""))
        if record.fanout >= 0:
            sockets.setsockopt(fd, abi.SOL_PACKET, _FANOUT, record.fanout)
    except OSError as error:
        remedy = "make the network device, or restart on a machine that has it" if error.errno == errno.ENODEV else None
        raise EnvironmentDiffers(f"{shown} cannot be rebuilt: {os.strerror(error.errno or 0)}", remedy) from None
