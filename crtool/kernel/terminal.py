"""Terminals that crtool itself has open: their state, asked and set by ioctl(2)."""

from __future__ import annotations

import array
import fcntl
import os
import select
import struct

from crtool.abi import termios as abi

__all__ = [
    "device",
    "drain_arrivals",
    "foreground",
    "has_status",
    "number",
    "open_peer",
    "readable",
    "session",
    "set_settings",
    "set_size",
    "set_word",
    "settings",
    "size",
    "word",
    "writable",
]


def word(fd: int, request: int) -> int:
    """What an ioctl that fills an int says; raises OSError."""
    value = array.array("i", [0])
    fcntl.ioctl(fd, request, value)
    return value[0]


def set_word(fd: int, request: int, value: int) -> None:
    """An ioctl that takes the address of an int."""
    fcntl.ioctl(fd, request, struct.pack("<i", value))


def settings(fd: int) -> bytes:
    """struct termios2; of a master, those of its slave."""
    return fcntl.ioctl(fd, abi.TCGETS2, bytes(abi.TERMIOS2.size))


def set_settings(fd: int, value: bytes) -> None:
    """Sets struct termios2, at once. A caller in the background has to block SIGTTOU."""
    fcntl.ioctl(fd, abi.TCSETS2, value)


def size(fd: int) -> tuple[int, int, int, int]:
    """Rows, columns, width and height in pixels."""
    rows, columns, width, height = abi.WINSIZE.unpack(fcntl.ioctl(fd, abi.TIOCGWINSZ, bytes(abi.WINSIZE.size)))
    return rows, columns, width, height


def set_size(fd: int, value: tuple[int, int, int, int]) -> None:
    """Sets the window size; the kernel sends SIGWINCH to the foreground group if it differs."""
    fcntl.ioctl(fd, abi.TIOCSWINSZ, abi.WINSIZE.pack(*value))


def device(fd: int) -> int:
    """The device number (st_rdev) of the terminal behind *fd*: the slave's for a master, the true one for /dev/tty."""
    encoded = word(fd, abi.TIOCGDEV) & 0xFFFF_FFFF
    # new_encode_dev of include/linux/kdev_t.h
    return os.makedev((encoded & 0xFFF00) >> 8, (encoded & 0xFF) | ((encoded >> 12) & 0xFFF00))


def number(master: int) -> int:
    """N of the /dev/pts/N that belongs to a master."""
    return word(master, abi.TIOCGPTN)


def open_peer(master: int, flags: int) -> int:
    """Opens the slave of *master*, wherever it is mounted (TIOCGPTPEER, since 4.13); close-on-exec."""
    fd = fcntl.ioctl(master, abi.TIOCGPTPEER, flags | os.O_NOCTTY)
    os.set_inheritable(fd, False)  # not by O_CLOEXEC, which the kernel would keep among the flags of the file
    return fd


def session(fd: int) -> int:
    """The session whose controlling terminal it is, 0 if it is nobody's. To be asked of a master."""
    try:
        return word(fd, abi.TIOCGSID)
    except OSError:
        return 0


def foreground(fd: int) -> int:
    """The foreground process group, 0 if there is none. To be asked of a master, or of one's own terminal."""
    try:
        return max(0, word(fd, abi.TIOCGPGRP))
    except OSError:
        return 0


def drain_arrivals(fd: int) -> int:
    """How many bytes can be read at once; in line mode only complete lines count.

    Bytes on their way pass through a worker of the kernel. Where nothing can be read yet, poll(2) waits for it.
    """
    _polled(fd, select.POLLIN)
    return word(fd, abi.FIONREAD)


def _polled(fd: int, events: int) -> int:
    look = select.poll()
    look.register(fd, events)
    return sum(found for _, found in look.poll(0)) & events


def readable(fd: int) -> bool:
    """Whether a read would not wait: there is a byte, or in line mode a line or an end of file."""
    return bool(_polled(fd, select.POLLIN))


def has_status(master: int) -> bool:
    """Whether a master in packet mode has a status that was not read."""
    return bool(_polled(master, select.POLLPRI))


def writable(fd: int) -> bool:
    """Whether a write would not wait: there is room, and the output is not stopped."""
    return bool(_polled(fd, select.POLLOUT))
