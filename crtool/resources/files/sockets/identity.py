"""Telling one socket from another: what it is, how its addresses are told, who has its port."""

from __future__ import annotations

import os
import socket
import struct
from functools import cache

from crtool.abi import ip
from crtool.abi import socket as abi
from crtool.procfs.net_sockets import SocketLine, parse
from crtool.procfs.read import read
from crtool.resources.files.openfile import OpenFile

__all__ = ["any_address", "facts", "family_of", "is_socket", "line_of", "port_of", "shown_address", "who_has_port"]

_LINK = b"socket:["


def is_socket(file: OpenFile) -> bool:
    """Whether *file* is a socket."""
    return file.link.startswith(_LINK) and not file.flags & os.O_PATH


def facts(file: OpenFile) -> tuple[int, int, int]:
    """Family, type and protocol of a socket; (−1, −1, −1) for anything else."""
    return file.socket


def family_of(address: bytes) -> int:
    """The family of a socket address, AF_UNSPEC of none."""
    family: int = struct.unpack_from("<H", address)[0] if len(address) >= 2 else abi.AF_UNSPEC
    return family


def port_of(address: bytes) -> int:
    """The port of an IP address."""
    return int.from_bytes(address[2:4], "big")


@cache
def any_address(family: int) -> bytes:
    """The address of an IP socket that is not bound."""
    structure = ip.SOCKADDR_IN if family == abi.AF_INET else ip.SOCKADDR_IN6
    return family.to_bytes(2, "little") + bytes(structure.size - 2)


def shown_address(address: bytes) -> str:
    """An IP address with its port, for the user: 127.0.0.1:53, [::1]:53."""
    if family_of(address) == abi.AF_INET:
        return f"{socket.inet_ntop(socket.AF_INET, address[4:8])}:{port_of(address)}"
    return f"[{socket.inet_ntop(socket.AF_INET6, address[8:24])}]:{port_of(address)}"


def line_of(pid: int, table: str, inode: int) -> SocketLine | None:
    """What /proc/PID/net/*table* says about the socket with *inode*."""
    try:
        return next((line for line in parse(read(pid, f"net/{table}")) if line.inode == inode), None)
    except OSError:
        return None


def who_has_port(tables: tuple[str, ...], port: int) -> str:
    """In words, who has a socket with *port* in one of the *tables* of /proc/net."""
    inodes = set()
    for table in tables:
        try:
            inodes |= {line.inode for line in parse(read(os.getpid(), f"net/{table}")) if port_of(line.local) == port}
        except OSError:
            continue
    links = {f"socket:[{inode}]" for inode in inodes}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if int(pid) != os.getpid() and os.readlink(f"/proc/{pid}/fd/{fd}") in links:
                    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                        return f"PID {pid} ({file.read().strip()}) has it"
        except OSError:
            continue
    return "somebody has it whom crtool may not see" if inodes else "nobody is seen who has it"
