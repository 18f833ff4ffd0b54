"""Sending an unread message of a unix socket again."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence

from crtool.abi.socket import SO_SNDBUF, SO_SNDBUFFORCE, SOL_SOCKET
from crtool.errors import EnvironmentDiffers
from crtool.kernel import sockets
from crtool.resources.files.sockets.unix import MessageRecord

__all__ = ["send"]

_SCM_RIGHTS, _SCM_CREDENTIALS = 1, 2
_ROOM = 1 << 24  # bytes that a socket may have under way while it is filled


def send(
    fd: int, kind: int, message: MessageRecord, carried: Sequence[int], to: bytes, shown: str
) -> Sequence[int]:
    """Sends one message by socket *fd*, with our descriptors *carried*, to an address or what it is connected to.

    The sender that is told is this process, with the user and group of the record.
    """
    control: list[tuple[int, int, bytes]] = []
    if carried:
        control.append((SOL_SOCKET, _SCM_RIGHTS, struct.pack(f"<{len(carried)}i", *carried)))
    if message.sender is not None:
        control.append((SOL_SOCKET, _SCM_CREDENTIALS, struct.pack("<iii", os.getpid(), *message.sender[1:])))
    before = sockets.integer(fd, SOL_SOCKET, SO_SNDBUF)
    try:
        sockets.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, max(before // 2, 2 * len(message.data) + (1 << 20), _ROOM))
    except PermissionError:
        pass
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL | (socket.MSG_OOB if message.urgent else 0)
            target: tuple[bytes, ...] = (to[2:].rstrip(b"\0") if to[2:3] != b"\0" else to[2:],) if to else ()
            left = memoryview(message.data)
            while True:
                done = sock.sendmsg([left], control, flags, *target)
                left, control = left[done:], []
                if kind != socket.SOCK_STREAM or not left:
                    break
    except OSError as error:
        raise EnvironmentDiffers(
            f"{shown} does not take what it held: {error.strerror}",
            "raise net.core.wmem_max and net.unix.max_dgram_qlen, or run with CAP_NET_ADMIN",
        ) from None
    finally:
        if before:
            with_force = max(before // 2, 1)
            try:
                sockets.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, with_force)
            except PermissionError:
                sockets.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, with_force)
    return ()
