"""Pipes and FIFOs.

The kernel keeps a ring of buffers, its size, and how many readers and writers have it open; each end that is open is
an open file description with flags of its own. A write in packet mode (O_DIRECT) is one packet.

We ask for the size (F_GETPIPE_SZ) and whether anything is unread (FIONREAD), and copy that with tee(2), which takes
nothing away, through a reading end that we open ourselves.

We rebuild the ring once, fill it, and open each end anew through /proc/self/fd with its own flags. Ends that nobody has
stay closed: so the others see end of file, or SIGPIPE.

Refused: a pipe whose other end is held by a process outside the tree. Lost: nothing.
"""

from __future__ import annotations

import fcntl
import os
import stat
import termios

from crtool.abi.fcntl import F_GETPIPE_SZ, F_SETPIPE_SZ
from crtool.errors import EnvironmentDiffers
from crtool.kernel.splice import tee
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile, remedy_for

__all__ = ["PipeEndRecord", "PipeRecord", "content", "fill", "make", "open_end", "recognise"]

_PIPE_BUF = 4096


@dataclass(frozen=True)
class PipeRecord:
    """The ring."""

    inode: int  # index of the FIFO's path among the image's inodes, −1 for a pipe
    size: int  # bytes that it can hold
    unread: tuple[bytes, ...]  # packets in packet mode, else one piece or none
    packets: bool  # whether the pieces are packets


@dataclass(frozen=True)
class PipeEndRecord:
    """An open end."""

    pipe: int  # index into the image's pipes
    flags: int  # O_RDONLY, O_WRONLY or O_RDWR, O_NONBLOCK, O_DIRECT…


def recognise(file: OpenFile) -> bool:
    """Whether *file* is a pipe or a FIFO."""
    return stat.S_ISFIFO(file.stat.st_mode) and not file.flags & os.O_PATH


def content(file: OpenFile, inode: int, *, packets: bool) -> PipeRecord:
    """The record of the ring behind *file*; *packets*: some writing end is in packet mode."""
    size = fcntl.fcntl(file.local, F_GETPIPE_SZ)
    if not any(fcntl.ioctl(file.local, termios.FIONREAD, bytes(4))):
        return PipeRecord(inode, size, (), packets)
    reader = os.open(f"/proc/self/fd/{file.local}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return PipeRecord(inode, size, _unread(reader, size, packets=packets), packets)
    finally:
        os.close(reader)


def _unread(reader: int, size: int, *, packets: bool) -> tuple[bytes, ...]:
    copy, into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.fcntl(into, F_SETPIPE_SZ, size)
        try:
            left = tee(reader, into, size)
        except BlockingIOError:
            return ()
        pieces = []
        while left:
            piece = os.read(copy, _PIPE_BUF if packets else left)
            pieces.append(piece)
            left -= len(piece)
    finally:
        os.close(copy)
        os.close(into)
    return tuple(pieces) if packets else (b"".join(pieces),) if pieces else ()


def make(record: PipeRecord, path: bytes, shown: str) -> tuple[int, ...]:
    """The ring: descriptors that keep it open until its ends are. *path*: of the FIFO, empty for a pipe, and how a user
    knows it. A pipe is filled, a FIFO is not yet: others can read what is in it.
    """
    if path:
        try:
            ends: tuple[int, ...] = (os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC),)
        except OSError as error:
            cause = f"the FIFO {shown} cannot be opened: {error.strerror}"
            raise EnvironmentDiffers(cause, remedy_for(error)) from None
    else:
        ends = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    if fcntl.fcntl(ends[-1], F_GETPIPE_SZ) != record.size:
        try:
            fcntl.fcntl(ends[-1], F_SETPIPE_SZ, record.size)
        except OSError as error:
            raise EnvironmentDiffers(
                f"a pipe of {record.size} bytes cannot be made here: {error.strerror}",
                "raise /proc/sys/fs/pipe-max-size and pipe-user-pages-soft, or run with CAP_SYS_RESOURCE",
            ) from None
    if not path:
        fill(record, ends[-1])
    return ends


def fill(record: PipeRecord, ring: int) -> None:
    """Gives a ring, of which *ring* is a descriptor, what was unread."""
    if not record.unread:
        return
    writer = os.open(f"/proc/self/fd/{ring}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if record.packets:
            _set_flags(writer, os.O_NONBLOCK | os.O_DIRECT)
        for piece in record.unread:
            if os.write(writer, piece) != len(piece):
                raise EnvironmentDiffers("a pipe does not take what it held", "raise /proc/sys/fs/pipe-max-size")
    except BlockingIOError:
        raise EnvironmentDiffers("a FIFO does not take what it held", "see who else writes to it") from None
    finally:
        os.close(writer)


def open_end(record: PipeEndRecord, ring: tuple[int, ...]) -> int:
    """Opens one end of a ring that :func:`make` has made."""
    reading = record.flags & os.O_ACCMODE == os.O_RDONLY
    source = ring[0] if reading else ring[-1]
    fd = os.open(f"/proc/self/fd/{source}", (record.flags & os.O_ACCMODE) | os.O_NONBLOCK | os.O_CLOEXEC)
    _set_flags(fd, record.flags)
    return fd


def _set_flags(fd: int, flags: int) -> None:
    """Sets the flags that can be changed; open(2) refuses O_DIRECT for a pipe, fcntl(2) does not."""
    fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~os.O_ACCMODE)
