"""The table of contents of what a socket can be, as :mod:`crtool.resources.files.kinds` is of open files."""

from __future__ import annotations

from collections.abc import Callable

from crtool.abi import ip
from crtool.abi import socket as abi
from crtool.errors import Obstacle
from crtool.puppet.puppet import Puppet
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.sockets import datagram, netlink, options, packet, reuseport
from crtool.resources.files.sockets.datagram import InetRecord
from crtool.resources.files.sockets.guard import Guard
from crtool.resources.files.sockets.identity import facts
from crtool.resources.files.sockets.netlink import NetlinkRecord
from crtool.resources.files.sockets.packet import PacketRecord

__all__ = ["SocketRecord", "dump", "obstacle", "place_of", "restore"]

SocketRecord = InetRecord | NetlinkRecord | PacketRecord

_INET = (abi.AF_INET, abi.AF_INET6)
_FAMILIES = {
    3: "AX.25",
    15: "key management (IPsec)",
    21: "RDS",
    24: "PPPoX",
    26: "LLC",
    27: "InfiniBand",
    28: "MPLS",
    29: "CAN",
    30: "TIPC",
    31: "Bluetooth",
    33: "RxRPC",
    35: "Phonet",
    36: "IEEE 802.15.4",
    38: "kernel crypto (AF_ALG)",
    39: "NFC",
    40: "virtual machine (vsock)",
    41: "KCM",
    42: "Qualcomm IPC router",
    43: "SMC",
    44: "XDP",
    45: "MCTP",
}
_PROTOCOLS = {ip.IPPROTO_TCP: "TCP", 33: "DCCP", 132: "SCTP", 262: "MPTCP"}


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why *file*, a socket, cannot be saved, if so."""
    if datagram.recognise(file):
        return datagram.obstacle(file, where)
    if netlink.recognise(file):
        return netlink.obstacle(file, where)
    if packet.recognise(file):
        return packet.obstacle(file, where)
    family, _, protocol = facts(file)
    name = _FAMILIES.get(family, f"family {family}")
    if family in _INET:
        name = _PROTOCOLS.get(protocol, f"IP protocol {protocol}")
    return Obstacle(file.pid, where, f"a socket of kind {name} cannot be saved", "close it first")


def dump(
    file: OpenFile,
    puppet: Callable[[OpenFile], Puppet | None],
    guard: Guard,
    lost: Callable[[OpenFile, str], None],
    inode: Callable[[OpenFile], int],
) -> SocketRecord:
    """The record of *file*, for which :func:`obstacle` has found none.

    *puppet* gives the task whose descriptor it is, *guard* puts back what is changed for a look; *lost* is told what
    does not come back, *inode* gives memory that it shares with a program its index.
    """
    for what in options.lost(file.local):
        lost(file, what)
    if netlink.recognise(file):
        return netlink.dump(file, lost)
    if packet.recognise(file):
        return packet.dump(file, lost, inode)
    return datagram.dump(file, puppet, guard, lost)


def place_of(record: object) -> int:
    """By which descriptions are to be put in order before they are made: sockets may have to join a group in turn."""
    return reuseport.place_of(record.sharing) if isinstance(record, InetRecord) else 0


def restore(record: SocketRecord, warn: Callable[[str], None]) -> int:
    """A new socket like the recorded one."""
    match record:
        case InetRecord():
            return datagram.restore(record, warn)
        case NetlinkRecord():
            return netlink.restore(record, warn)
        case PacketRecord():
            return packet.restore(record, warn)
