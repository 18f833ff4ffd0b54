"""Sockets that share a port (SO_REUSEPORT), and the program that divides among them (SO_ATTACH_REUSEPORT_CBPF, _EBPF).

The kernel tells nobody of that program. It is found in the kernel's memory (:mod:`crtool.kernel.peek`): struct sock
leads to the group, struct sock_reuseport (include/net/sock_reuseport.h), and that to the program, which if it is a
classic one keeps the instructions as they were given (bpf_prog_store_orig_filter() in net/core/filter.c). What a
program returns is the number of a socket in the group. Before anything is believed, that is tried on a socket of
crtool's own.
"""

from __future__ import annotations

import ctypes
from functools import cache

from crtool.abi import socket as abi
from crtool.abi.seccomp import SOCK_FILTER, SOCK_FPROG
from crtool.kernel import btf, peek, sockets
from crtool.kernel.btf import Types
from crtool.kernel.peek import Peek
from crtool.record import dataclass

__all__ = ["Group", "Groups", "attach", "why_not"]

_STRUCTURES = (
    "task_struct", "files_struct", "fdtable", "file", "socket", "sock", "sock_reuseport", "bpf_prog",
    "sock_fprog_kern", *peek.STRUCTURES,
)  # fmt: skip
_RETURN = 6  # BPF_RET | BPF_K


@dataclass(frozen=True)
class Group:
    """The sockets among which a program divides what comes in."""

    members: tuple[int, ...]  # where the kernel has them, in the order in which the program counts them
    own: int  # which of them is the one that was asked about
    program: bytes  # instructions of a classic one; none if it is an eBPF program


@cache
def _types() -> Types:
    return btf.read(_STRUCTURES)


@cache
def _at(structure: str, member: str) -> int:
    return _types().offset(structure, member)


@cache
def why_not() -> str | None:
    """Why groups cannot be looked at here, None if they can."""
    return btf.why_not(_trial)


def _trial() -> str | None:
    program = SOCK_FILTER.pack(_RETURN, 0, 0, 0)
    with Groups() as groups, sockets.opened(abi.AF_INET, abi.SOCK_DGRAM, 0) as fd:
        sockets.setsockopt(fd, abi.SOL_SOCKET, abi.SO_REUSEPORT, 1)
        before = groups.look(fd)
        attach(fd, program)
        found = groups.look(fd)
    if before is None and found is not None and (len(found.members), found.own, found.program) == (1, 0, program):
        return None
    return "this kernel keeps groups of sockets in another way than crtool knows"


def attach(fd: int, instructions: bytes) -> None:
    """Lets a classic program divide among the sockets of the group of *fd*; raises OSError."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    count = len(instructions) // SOCK_FILTER.size
    option = SOCK_FPROG.pack(count, ctypes.addressof(code))
    sockets.setsockopt(fd, abi.SOL_SOCKET, abi.SO_ATTACH_REUSEPORT_CBPF, option)


class Groups:
    """To be used by the thread that makes it. OSError or KeyError if the kernel, or the caller's rights, forbid it."""

    def __init__(self) -> None:
        self._peek = Peek(_types())

    def __enter__(self) -> Groups:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Looks no more."""
        self._peek.__exit__()

    def _follow(self, address: int, structure: str, member: str) -> int:
        return self._peek.word(address + _at(structure, member))

    def look(self, fd: int) -> Group | None:
        """The group of socket *fd*, a descriptor of ours; None if there is no program, or if it has left the group."""
        table = self._follow(self._follow(self._peek.current, "task_struct", "files"), "files_struct", "fdt")
        file = self._peek.word(self._follow(table, "fdtable", "fd") + 8 * fd)
        sock = self._follow(self._follow(file, "file", "private_data"), "socket", "sk")
        group = self._follow(sock, "sock", "sk_reuseport_cb")
        program = self._follow(group, "sock_reuseport", "prog") if group else 0
        if not program:
            return None
        count = self._follow(group, "sock_reuseport", "num_socks") & 0xFFFF
        first = group + _at("sock_reuseport", "socks")
        members = tuple(self._peek.word(first + 8 * number) for number in range(count))
        return Group(members, members.index(sock), self._instructions(program)) if sock in members else None

    def _instructions(self, program: int) -> bytes:
        kept = self._follow(program, "bpf_prog", "orig_prog")
        if not kept:
            return b""
        size = SOCK_FILTER.size * (self._follow(kept, "sock_fprog_kern", "len") & 0xFFFF)
        place = self._follow(kept, "sock_fprog_kern", "filter")
        return b"".join(self._peek.word(place + at).to_bytes(8, "little") for at in range(0, size, 8))
