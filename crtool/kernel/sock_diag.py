"""Asking the kernel about sockets by their inodes: netlink's NETLINK_SOCK_DIAG (sock_diag(7)).

The kernel answers about the sockets of one network namespace, the one in which the asking netlink socket was opened.
A request and its answers are structures of the family that is asked about: this module carries them and
takes attributes apart; :mod:`crtool.kernel.unix_diag` knows those of one family.

Sources: include/uapi/linux/netlink.h, include/uapi/linux/sock_diag.h, man 7 sock_diag.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

__all__ = ["SockDiag", "attributes"]

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY, SOCK_DESTROY = 20, 21
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP = 1, 4, 0x300
_NLM_F_DUMP_INTR = 0x10  # the list changed while it was read
_HEADER = struct.Struct("<IHHII")  # struct nlmsghdr: length, type, flags, sequence number, port
_ATTRIBUTE = struct.Struct("<HH")  # struct nlattr: length, type
_TYPE_MASK = 0x3FFF  # NLA_TYPE_MASK
_ROOM = 1 << 18  # bytes read at once: a dump comes in pieces of at most 32 KiB


class SockDiag:
    """A line to the kernel, of the network namespace in which it is made. As a context manager it closes itself."""

    def __init__(self) -> None:
        self._line = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)
        self._number = 0

    def __enter__(self) -> SockDiag:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the line."""
        self._line.close()

    def all(self, request: bytes) -> Iterator[bytes]:
        """The answers about all sockets that *request* (a struct *_diag_req) selects, each without its header.

        Raises OSError: ENOENT where the kernel has no module for the family.
        """
        self._send(request, _NLM_F_DUMP)
        yield from self._answers()

    def one(self, request: bytes) -> bytes | None:
        """The answer about the one socket that *request* names by inode, cookie or addresses; None if there is none.

        Raises OSError.
        """
        self._send(request, 0)
        try:
            return next(self._answers(one=True), None)
        except FileNotFoundError:
            return None

    def destroy(self, request: bytes) -> None:
        """Ends the one socket that *request* names (SOCK_DESTROY, since 4.5). Raises OSError."""
        self._send(request, _NLM_F_ACK, SOCK_DESTROY)
        next(self._answers(one=True), None)

    def _send(self, request: bytes, flags: int, kind: int = SOCK_DIAG_BY_FAMILY) -> None:
        self._number += 1
        length = _HEADER.size + len(request)
        header = _HEADER.pack(length, kind, _NLM_F_REQUEST | flags, self._number, 0)
        self._line.sendto(header + request, (0, 0))

    def _answers(self, *, one: bool = False) -> Iterator[bytes]:
        while True:
            data = self._line.recv(_ROOM)
            position = 0
            while position + _HEADER.size <= len(data):
                length, kind, _, number, _ = _HEADER.unpack_from(data, position)
                body = data[position + _HEADER.size : position + length]
                position += -(-length // 4) * 4
                if number != self._number:
                    continue  # what is left of a dump that nobody has read to its end
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    (error,) = struct.unpack_from("<i", body)
                    if error:
                        raise OSError(-error, f"sock_diag: {os.strerror(-error)}")
                    return
                yield body
                if one:
                    return


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes (struct nlattr) behind the structure of an answer, by number; of equal numbers the last counts."""
    found = {}
    position = 0
    while position + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _TYPE_MASK] = data[position + _ATTRIBUTE.size : position + length]
        position += -(-length // 4) * 4
    return found
