"""Network namespaces (network_namespaces(7)).

The kernel keeps in each its own interfaces, addresses, routes, firewall rules and sockets.

We read /proc/PID/net of a process that lives in it, and ask for the flags of the loopback device from within.

We rebuild one that has nothing but this device, by unshare(2), and set the device up if it was.

Refused: one with other interfaces or addresses, and sockets that were made in one. Sysctls and firewall rules are lost.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from crtool.abi.clone import CLONE_NEWNET
from crtool.kernel.within import within
from crtool.puppet.batch import Batch
from crtool.record import dataclass

__all__ = ["FLAG", "NetRecord", "dump", "obstacle", "restore"]

FLAG = CLONE_NEWNET
_LOOPBACK = b"lo"
_IFF_UP = 1
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914  # linux/sockios.h
_IFREQ = struct.Struct("<16sH22x")  # name and flags of struct ifreq
_HEADINGS = 2  # lines of /proc/net/dev
_OWN_ADDRESSES = (b"127.0.0.0", b"127.0.0.1", b"127.255.255.255")
_OWN_ADDRESS6 = b"00000000000000000000000000000001"


@dataclass(frozen=True)
class NetRecord:
    """A network namespace with nothing but a loopback device."""

    members: tuple[int, ...]  # PIDs of the processes that live in it, as of ProcessRecord.pids[0]
    up: bool  # that device


def obstacle(door: int) -> str | None:
    """Why the namespace of thread *door* cannot be saved, if so."""
    devices = [line.split(b":")[0].strip() for line in _read(door, "dev").splitlines()[_HEADINGS:]]
    if other := [name for name in devices if name != _LOOPBACK]:
        return f"has the interface {other[0].decode(errors='replace')} in a network namespace of its own"
    addresses = {line.split()[1] for line in _read(door, "fib_trie").splitlines() if b"|--" in line}
    sixes = {line.split()[0] for line in _read(door, "if_inet6").splitlines()}
    if other := sorted([*(addresses - {*_OWN_ADDRESSES, b"0.0.0.0"}), *(sixes - {_OWN_ADDRESS6})]):
        return f"has the address {other[0].decode()} in a network namespace of its own"
    return None


def _read(door: int, name: str) -> bytes:
    path = Path(f"/proc/{door}/net/{name}")
    return path.read_bytes() if path.exists() else b""


def dump(door: int, members: tuple[int, ...]) -> NetRecord:
    """The namespace of thread *door*."""
    return NetRecord(members, bool(within(door, FLAG, _flags)[0] & _IFF_UP))


def _flags() -> bytes:
    import fcntl  # noqa: PLC0415 - not needed by a restart

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _IFREQ.pack(_LOOPBACK, 0))
    return bytes([_IFREQ.unpack(answer)[1] & 0xFF])


def restore(batch: Batch, record: NetRecord) -> None:
    """Adds the calls that set up the device of a new namespace."""
    if record.up:
        made = batch.call("socket", socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0, label="loopback device")
        batch.call("ioctl", made, _SIOCSIFFLAGS, _IFREQ.pack(_LOOPBACK, _IFF_UP), label="loopback device")
        batch.call("close", made)
