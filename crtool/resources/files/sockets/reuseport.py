"""Programs that divide among the sockets of a port (SO_ATTACH_REUSEPORT_CBPF, socket(7)).

The kernel keeps with each group of sockets that share a port (SO_REUSEPORT) the order in which they have joined it, and
perhaps a program, which says the number of the one that gets a datagram or a connection.

We look into the kernel's memory (:mod:`crtool.kernel.reuseport`), which takes root: nothing else tells either.

We rebuild it by binding them (of TCP: letting them listen) in that order, and attaching the program to the last.

Refused: eBPF programs; groups of which some sockets are not in the tree. What may not be looked at is warned of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crtool.abi import ip
from crtool.abi import socket as abi
from crtool.abi.seccomp import SOCK_FILTER
from crtool.abi.tcp import State
from crtool.errors import EnvironmentDiffers, Obstacle, ObstacleError
from crtool.kernel import reuseport as kernel
from crtool.kernel import sockets, tcp
from crtool.kernel.reuseport import Group, Groups
from crtool.record import dataclass, replace
from crtool.resources.files.openfile import OpenFile

__all__ = ["PortGroups", "SharingRecord", "attach", "is_sound", "place_of"]

_FAMILIES = (abi.AF_INET, abi.AF_INET6)
_PROTOCOLS = (ip.IPPROTO_TCP, ip.IPPROTO_UDP, ip.IPPROTO_UDPLITE)
_MOST = 4096  # BPF_MAXINSNS
_ALONE = (State.LISTEN, State.CLOSE)  # in which a TCP socket can be in a group


@dataclass(frozen=True)
class SharingRecord:
    """The place of a socket in a group that has a program."""

    place: int  # its number, as the program counts
    size: int  # sockets of the group
    program: bytes  # instructions of classic BPF: struct sock_filter each


class PortGroups:
    """Those of a tree. As a context manager it is closed."""

    def __init__(self) -> None:
        self._groups: Groups | None = None
        self._places: dict[int, tuple[int, int]] = {}  # process and descriptor of a socket
        self._found: dict[int, Group] = {}  # of a socket
        self._unseen: dict[tuple[int, bytes], list[tuple[int, int]]] = {}  # by protocol and address

    def close(self) -> None:
        """Looks no more."""
        if self._groups is not None:
            self._groups.close()
            self._groups = None

    def __enter__(self) -> PortGroups:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def add(self, file: OpenFile, key: int) -> None:
        """Takes note of a socket that can be in a group, by *key*; anything else is passed over."""
        if key in self._places or not _shares(file):
            return
        self._places[key] = (file.pid, file.fd)
        if kernel.why_not() is not None:
            address = file.socket[2], sockets.getsockname(file.local)
            self._unseen.setdefault(address, []).append(self._places[key])
            return
        if self._groups is None:
            self._groups = Groups()
        if (group := self._groups.look(file.local)) is not None:
            self._found[key] = group

    def obstacles(self) -> Iterator[Obstacle]:
        """Groups that cannot be made again, each once."""
        known = {group.members[group.own] for group in self._found.values()}
        seen = set()
        for key, group in self._found.items():
            if group.members in seen:
                continue
            seen.add(group.members)
            pid, fd = self._places[key]
            if not group.program:
                cause = "an eBPF program divides among the sockets of its port (SO_ATTACH_REUSEPORT_EBPF)"
                yield Obstacle(pid, f"fd {fd}", cause, "detach it first")
            elif missing := len(set(group.members) - known):
                cause = "a program divides among the sockets of its port (SO_ATTACH_REUSEPORT_CBPF), of which"
                remedy = "checkpoint a parent of all who have one, or detach the program"
                yield Obstacle(pid, f"fd {fd}", f"{cause} {missing} are not in the tree", remedy)

    def warnings(self) -> Iterator[str]:
        """What may not be looked at, though it may matter."""
        for places in self._unseen.values():
            if len(places) > 1:
                pid, fd = places[0]
                what = "whether a program divides among the sockets of its port (SO_ATTACH_REUSEPORT_CBPF)"
                yield f"PID {pid} fd {fd}: {what} cannot be seen, and it would be lost: {kernel.why_not()}"

    def complete(self, descriptions: list[Any]) -> None:
        """Makes the records among *descriptions* whole, whose indices the sockets were added by."""
        if found := list(self.obstacles()):
            raise ObstacleError(found)
        for index, group in self._found.items():
            sharing = SharingRecord(group.own, len(group.members), group.program)
            descriptions[index] = replace(descriptions[index], sharing=sharing)


def _shares(file: OpenFile) -> bool:
    family, _, protocol = file.socket
    if family not in _FAMILIES or protocol not in _PROTOCOLS:
        return False
    if not sockets.integer(file.local, abi.SOL_SOCKET, abi.SO_REUSEPORT):
        return False
    return protocol != ip.IPPROTO_TCP or tcp.info(file.local).state in _ALONE


def is_sound(sharing: SharingRecord | None) -> bool:
    """Whether there can be a place in a group like that."""
    if sharing is None:
        return True
    instructions, rest = divmod(len(sharing.program), SOCK_FILTER.size)
    return 0 <= sharing.place < sharing.size and not rest and 0 < instructions <= _MOST


def place_of(sharing: SharingRecord | None) -> int:
    """By which sockets are to be put in order before they join their groups."""
    return sharing.place if sharing is not None else 0


def attach(fd: int, sharing: SharingRecord | None, shown: str) -> None:
    """Gives the group its program back, when its last socket, *fd*, has joined it. *shown*: its name for the user."""
    if sharing is None or sharing.place != sharing.size - 1:
        return
    try:
        kernel.attach(fd, sharing.program)
    except OSError as error:
        cause = f"{shown}: the program that divides among the sockets of its port cannot be attached"
        raise EnvironmentDiffers(f"{cause}: {error.strerror}") from None
