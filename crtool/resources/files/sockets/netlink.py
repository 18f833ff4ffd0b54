"""Netlink sockets (netlink(7)).

The kernel keeps the protocol, the port (often a PID, but only a number), the groups whose messages are wanted, the
address that send(2) takes, options, messages not yet read, and an answer in parts that is under way.

We ask a borrowed descriptor and /proc/PID/net/netlink.

We rebuild it by socket(2), bind(2) to the same port, NETLINK_ADD_MEMBERSHIP, connect(2).

Refused: answers that were not read yet, since nobody would send them again; queues of nfnetlink. Lost, by name: unread
messages to groups. The kernel's own state behind a socket (an audit daemon's, say) is not seen.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
from collections.abc import Callable, Iterator

from crtool.abi import socket as abi
from crtool.errors import EnvironmentDiffers, Obstacle
from crtool.kernel import sockets
from crtool.procfs.read import read
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.sockets import options
from crtool.resources.files.sockets.identity import facts
from crtool.resources.files.sockets.option_table import FILLED, FRESH, Option, OptionRecord, OptionTable

__all__ = ["NetlinkRecord", "dump", "obstacle", "recognise", "restore", "shown"]

_ADD_MEMBERSHIP, _LIST_MEMBERSHIPS = 1, 9
_MOST_GROUPS = 1024  # bytes of the list: 8192 groups
_TABLE = OptionTable(
    *(
        Option(abi.SOL_NETLINK, number, f"NETLINK_{name}")
        for number, name in (
            (3, "PKTINFO"),
            (4, "BROADCAST_ERROR"),
            (5, "NO_ENOBUFS"),
            (8, "LISTEN_ALL_NSID"),
            (10, "CAP_ACK"),
            (11, "EXT_ACK"),
            (12, "GET_STRICT_CHK"),
        )
    ),
    *options.OPTIONS,
)
_ADDRESS = struct.Struct("<HxxII")  # struct sockaddr_nl: family, port, groups
_NAMES = {
    0: "ROUTE", 2: "USERSOCK", 4: "SOCK_DIAG", 6: "XFRM", 9: "AUDIT", 12: "NETFILTER", 15: "UEVENT", 16: "GENERIC",
}  # fmt: skip
_NETFILTER = 12
_QUEUES = ("net/netfilter/nfnetlink_queue", "net/netfilter/nfnetlink_log")


@dataclass(frozen=True)
class NetlinkRecord:
    """A netlink socket."""

    kind: int  # SOCK_RAW or SOCK_DGRAM, which are the same
    protocol: int  # NETLINK_*
    flags: int  # O_* as fcntl(F_GETFL) gives them
    port: int  # 0: not bound
    groups: tuple[int, ...]  # numbers of the groups that it listens to
    peer_port: int  # where send(2) goes to
    peer_groups: int  # the same, as a mask of groups
    options: tuple[OptionRecord, ...]


def recognise(file: OpenFile) -> bool:
    """Whether *file* is a netlink socket."""
    return facts(file)[0] == abi.AF_NETLINK


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why the socket cannot be saved, if so."""
    if options.has_ebpf_filter(file.local):
        return Obstacle(file.pid, where, "a netlink socket with an eBPF filter cannot be saved", "detach it")
    _, _, protocol = sockets.facts(file.local)
    _, port, _ = _ADDRESS.unpack(sockets.getsockname(file.local))
    dumping = _is_dumping(file)
    if dumping or (_unread(file.local) and not _groups(file.local)):
        why = f"a netlink socket ({_NAMES.get(protocol, protocol)}) has an answer that was not read"
        return Obstacle(file.pid, where, why, "try again")
    if protocol == _NETFILTER and port and port in _queue_ports(file.pid):
        return Obstacle(file.pid, where, "a netlink socket has queues of packets (nfnetlink)", "end the queues first")
    return None


def _unread(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))


def _is_dumping(file: OpenFile) -> bool:
    """Whether the kernel has more parts of an answer, to be made when the first are read."""
    for line in read(file.pid, "net/netlink", missing=b"").splitlines()[1:]:
        fields = line.split()
        if int(fields[9]) == file.stat.st_ino:
            return fields[6] != b"0"
    return False


def _queue_ports(pid: int) -> set[int]:
    """Ports to which nfnetlink sends packets: the second column of both files."""
    lines = [line.split() for path in _QUEUES for line in read(pid, path, missing=b"").splitlines()]
    return {int(fields[1]) for fields in lines if len(fields) > 1}


def _groups(fd: int) -> tuple[int, ...]:
    mask = int.from_bytes(sockets.getsockopt(fd, abi.SOL_NETLINK, _LIST_MEMBERSHIPS, _MOST_GROUPS), "little")
    return tuple(_bits(mask))


def _bits(mask: int) -> Iterator[int]:
    """The numbers of the groups of a mask: they begin with 1."""
    number = 1
    while mask:
        if mask & 1:
            yield number
        mask >>= 1
        number += 1


def dump(file: OpenFile, lost: Callable[[OpenFile, str], None]) -> NetlinkRecord:
    """The record of *file*; *lost* is told what does not come back."""
    _, kind, protocol = sockets.facts(file.local)
    _, port, _ = _ADDRESS.unpack(sockets.getsockname(file.local))
    _, peer_port, peer_groups = _ADDRESS.unpack(sockets.getpeername(file.local) or bytes(_ADDRESS.size))
    if _unread(file.local):
        lost(file, "what was sent to its netlink groups and not read")
    return NetlinkRecord(
        kind, protocol, file.flags, port, _groups(file.local), peer_port, peer_groups, _TABLE.dump(file.local)
    )


def shown(record: NetlinkRecord) -> str:
    """Where it is bound, in words."""
    groups = f", groups {', '.join(map(str, record.groups))}" if record.groups else ""
    return f"netlink {_NAMES.get(record.protocol, record.protocol)} port {record.port}{groups}"


def restore(record: NetlinkRecord, warn: Callable[[str], None]) -> int:
    """A new socket like it."""
    shown = f"a netlink socket ({_NAMES.get(record.protocol, record.protocol)}) of port {record.port}"
    try:
        fd = sockets.socket(abi.AF_NETLINK, record.kind, record.protocol)
    except OSError as error:
        raise EnvironmentDiffers(f"{shown} cannot be made: {os.strerror(error.errno or 0)}") from None
    try:
        _TABLE.restore(fd, record.options, FRESH, shown, warn)
        if record.port:
            _bind(fd, record, shown)
        for group in record.groups:
            _join(fd, group, shown)
        if record.peer_port or record.peer_groups:
            sockets.connect(fd, _ADDRESS.pack(abi.AF_NETLINK, record.peer_port, record.peer_groups))
        _TABLE.restore(fd, record.options, FILLED, shown, warn)
        fcntl.fcntl(fd, fcntl.F_SETFL, record.flags & ~os.O_ACCMODE & ~os.O_ASYNC)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _bind(fd: int, record: NetlinkRecord, shown: str) -> None:
    try:
        sockets.bind(fd, _ADDRESS.pack(abi.AF_NETLINK, record.port, 0))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise EnvironmentDiffers(f"{shown} cannot be bound: {os.strerror(error.errno or 0)}") from None
        text = f"{shown}: its port is taken by another netlink socket"
        raise EnvironmentDiffers(text, "end the program that has it (see /proc/net/netlink)") from None


def _join(fd: int, group: int, shown: str) -> None:
    try:
        sockets.setsockopt(fd, abi.SOL_NETLINK, _ADD_MEMBERSHIP, group)
    except OSError as error:
        remedy = "run crtool with CAP_NET_ADMIN" if error.errno == errno.EPERM else "restart it on the same kernel"
        text = f"{shown} cannot listen to group {group}: {os.strerror(error.errno or 0)}"
        raise EnvironmentDiffers(text, remedy) from None
