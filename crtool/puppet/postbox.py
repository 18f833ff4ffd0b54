"""Handing open files to puppets that are born already (unix(7), SCM_RIGHTS).

Most open files are inherited at birth. Those that can only be made later are sent through a socket that all inherit. A
task that has inherited none makes a pair of sockets, of which crtool takes one.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

from crtool.kernel.process import pidfd_getfd, pidfd_open
from crtool.puppet.batch import Batch
from crtool.puppet.puppet import Puppet

__all__ = ["Postbox", "send"]

_MOST = 128  # descriptors in one message; the kernel's SCM_MAX_FD is 253
_CMSGHDR = struct.Struct("<Qii")
_MSGHDR = struct.Struct("<QQQQQQQ")  # name, its length, iovec, their number, control, its length, flags
_IOVEC_AT, _CONTROL_AT = 16, 32
_MSG_CMSG_CLOEXEC = 0x40000000


def _receive(puppet: Puppet, inherited: int) -> tuple[int, ...]:
    """The numbers of the descriptors that come out of the socket *inherited* next."""
    batch = Batch()
    byte = batch.buffer(1)
    room = _CMSGHDR.size + 4 * _MOST
    control = batch.buffer(room)
    vector = batch.data(struct.pack("<QQ", 0, 1), {0: byte})
    message = batch.data(_MSGHDR.pack(0, 0, 0, 1, 0, room, 0), {_IOVEC_AT: vector, _CONTROL_AT: control})
    batch.call("recvmsg", inherited, message, _MSG_CMSG_CLOEXEC, label="open files")
    puppet.run(batch)
    length, _, _ = _CMSGHDR.unpack_from(control.read())
    content = control.read()[_CMSGHDR.size : length]
    return struct.unpack(f"<{len(content) // 4}i", content)


def send(puppet: Puppet, fd: int) -> int:
    """Gives *puppet*, a process with a file table of its own, a descriptor for *fd*; returns its number there.

    Raises OSError or RemoteCallError, and may leave a pair of sockets in that table.
    """
    import socket  # noqa: PLC0415

    batch = Batch()
    pair = batch.buffer(8)
    batch.call("socketpair", socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC, 0, pair)
    puppet.run(batch)
    ours, theirs = struct.unpack("<2i", pair.read())
    pidfd = pidfd_open(puppet.pid)
    try:
        with socket.socket(fileno=pidfd_getfd(pidfd, ours)) as end:
            socket.send_fds(end, [b"!"], [fd])
            (number,) = _receive(puppet, theirs)
    finally:
        os.close(pidfd)
    return number


class Postbox:
    """The socket. As a context manager it closes its own end; the other is *inherited*."""

    def __init__(self) -> None:
        import socket  # noqa: PLC0415

        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.theirs = theirs.detach()  # whoever makes the postbox keeps it, and says which number it has got

    def close(self) -> None:
        """Closes our end."""
        self._ours.close()

    def hand_over(self, puppet: Puppet, inherited: int, fds: Sequence[int]) -> list[int]:
        """Gives *puppet*, which has the other end as *inherited*, descriptors for *fds*: their numbers there."""
        import socket  # noqa: PLC0415

        numbers: list[int] = []
        for first in range(0, len(fds), _MOST):
            some = fds[first : first + _MOST]
            socket.send_fds(self._ours, [b"!"], list(some))
            numbers += _receive(puppet, inherited)
        if len(numbers) != len(fds):
            raise OSError(24, f"PID {puppet.pid} has got {len(numbers)} of {len(fds)} open files", os.strerror(24))
        return numbers
