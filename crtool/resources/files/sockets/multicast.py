"""Memberships of multicast groups (IP_ADD_MEMBERSHIP, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP…).

The kernel keeps for each socket a list of groups, each on a network device, with sources that are wanted or unwanted.

The list itself is not shown. But /proc/PID/net/igmp and igmp6 tell all groups of all devices, and MCAST_MSFILTER
answers for a group and a device only if the socket is a member.

We rebuild each by MCAST_JOIN_GROUP on the device of the same name, then MCAST_MSFILTER where sources were chosen.

Not seen, since the kernel does not tell: anycast addresses (IPV6_JOIN_ANYCAST).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

from crtool.abi import ip
from crtool.abi import socket as abi
from crtool.errors import EnvironmentDiffers
from crtool.kernel import sockets
from crtool.procfs.read import read
from crtool.record import dataclass
from crtool.resources.files.sockets.option_table import device_index

__all__ = ["MembershipRecord", "dump", "restore"]

_STORAGE = 128  # struct sockaddr_storage
_FILTER = struct.Struct(f"<I4x{_STORAGE}sII")  # struct group_filter: interface, group, mode, number of sources
_REQUEST = struct.Struct(f"<I4x{_STORAGE}s")  # struct group_req: interface, group
_EXCLUDE, _INCLUDE = 0, 1
_MOST_SOURCES = 64  # read at once; more need a second look


@dataclass(frozen=True)
class MembershipRecord:
    """One group."""

    family: int  # AF_INET or AF_INET6: of the group, and the level of the option
    device: bytes  # name of the network device
    group: bytes  # address
    include: bool  # whether only packets of these sources are wanted, or all others
    sources: tuple[bytes, ...]  # addresses


def dump(pid: int, fd: int, family: int) -> tuple[MembershipRecord, ...]:
    """The memberships of *fd*, our own descriptor of a socket of *family* that process *pid* has."""
    found = list(_members(fd, abi.AF_INET, _groups_of_four(read(pid, "net/igmp", missing=b""))))
    if family == abi.AF_INET6:
        found += _members(fd, abi.AF_INET6, _groups_of_six(read(pid, "net/igmp6", missing=b"")))
    return tuple(found)


def _groups_of_four(text: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Index and name of a device, and a group: a line for the device, then one for each of its groups."""
    index, name = 0, b""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if not line.startswith(b"\t"):
            index, name = int(fields[0]), fields[1].rstrip(b":")
        else:
            yield index, name, struct.pack("=I", int(fields[0], 16))


def _groups_of_six(text: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    for line in text.splitlines():
        fields = line.split()
        yield int(fields[0]), fields[1], bytes.fromhex(fields[2].decode("ascii"))


def _address(family: int, address: bytes) -> bytes:
    """struct sockaddr_storage without a port."""
    head = struct.pack("=H", family) + bytes(2 if family == abi.AF_INET else 6)
    return (head + address).ljust(_STORAGE, b"\0")


def _members(fd: int, family: int, groups: Iterator[tuple[int, bytes, bytes]]) -> Iterator[MembershipRecord]:
    level = abi.SOL_IP if family == abi.AF_INET else abi.SOL_IPV6
    start, size = (4, 4) if family == abi.AF_INET else (8, 16)
    for index, name, group in groups:
        count = _MOST_SOURCES
        while True:
            question = _FILTER.pack(index, _address(family, group), 0, count)
            try:
                room = _FILTER.size + count * _STORAGE
                answer = sockets.getsockopt(fd, level, ip.MCAST_MSFILTER, room, question)
            except OSError as error:
                if error.errno in (errno.EADDRNOTAVAIL, errno.EINVAL, errno.ENOPROTOOPT, errno.EOPNOTSUPP):
                    break  # no member
                raise
            _, _, mode, there = _FILTER.unpack_from(answer)
            if there > count:
                count = there
                continue
            places = range(_FILTER.size, _FILTER.size + there * _STORAGE, _STORAGE)
            sources = tuple(answer[place + start : place + start + size] for place in places)
            yield MembershipRecord(family, name, group, mode == _INCLUDE, sources)
            break


def restore(fd: int, records: tuple[MembershipRecord, ...], shown: str) -> None:
    """Joins the groups; *shown*: what the socket is called for the user."""
    for record in records:
        level = abi.SOL_IP if record.family == abi.AF_INET else abi.SOL_IPV6
        group = _address(record.family, record.group)
        name = socket.inet_ntop(record.family, record.group)
        try:
            index = device_index(fd, record.device)
            sockets.setsockopt(fd, level, ip.MCAST_JOIN_GROUP, _REQUEST.pack(index, group))
            if record.include or record.sources:
                mode = _INCLUDE if record.include else _EXCLUDE
                head = _FILTER.pack(index, group, mode, len(record.sources))
                sources = b"".join(_address(record.family, source) for source in record.sources)
                sockets.setsockopt(fd, level, ip.MCAST_MSFILTER, head + sources)
        except OSError as error:
            where = os.fsdecode(record.device)
            raise EnvironmentDiffers(
                f"{shown} cannot join {name} on {where}: {os.strerror(error.errno or 0)}",
                f"make the network device {where}, up, or restart on a machine that has it",
            ) from None
