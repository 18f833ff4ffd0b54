"""/proc/PID/net/udp, udp6, udplite, raw, icmp…: the sockets of one protocol in a network namespace.

Spec: proc_pid_net(5); udp4_format_sock and its like in the kernel's net/. Addresses are printed as the machine words
that they are stored in, ports as numbers.
"""

from __future__ import annotations

import struct

from crtool.procfs.error import ProcfsError
from crtool.record import dataclass

__all__ = ["SocketLine", "parse"]


@dataclass(frozen=True)
class SocketLine:
    """One socket."""

    local: bytes  # struct sockaddr_in or sockaddr_in6
    remote: bytes
    state: int  # 1: connected
    inode: int


def parse(data: bytes) -> tuple[SocketLine, ...]:
    """The whole file; ProcfsError with the line that has another form."""
    found = []
    for line in data.splitlines()[1:]:
        fields = line.split()
        try:
            local, remote = _address(fields[1]), _address(fields[2])
            found.append(SocketLine(local, remote, int(fields[3], 16), int(fields[9])))
        except (ValueError, IndexError, struct.error):
            raise ProcfsError("net", line) from None
    return tuple(found)


def _address(text: bytes) -> bytes:
    words, _, port = text.partition(b":")
    raw = bytes.fromhex(words.decode("ascii"))
    address = b"".join(struct.pack("=I", word) for (word,) in struct.iter_unpack(">I", raw))
    number = int(port, 16)
    if len(address) == 4:
        return struct.pack("=H", 2) + struct.pack(">H", number) + address + bytes(8)
    return struct.pack("=H", 10) + struct.pack(">H", number) + bytes(4) + address + bytes(4)
