"""Sockets that crtool itself has open: calls with addresses and options as the bytes that the kernel knows.

Python's own module takes addresses apart by family, and reads no option that it has not heard of; here all of them are
bytes, so that what was read can be given back as it was.
"""

from __future__ import annotations

import _socket  # the part of Python's socket that costs nothing to import
import ctypes
import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from crtool import faults
from crtool.abi import socket as abi
from crtool.abi.seccomp import SOCK_FILTER, SOCK_FPROG
from crtool.kernel.syscall import syscall

__all__ = [
    "attach_filter",
    "bind",
    "classic_filter",
    "connect",
    "facts",
    "getpeername",
    "getsockname",
    "getsockopt",
    "getsockopts",
    "integer",
    "listen",
    "opened",
    "sendto",
    "setsockopt",
    "shutdown",
    "socket",
    "socketpair",
]

_ADDRESS_SIZE = 128  # struct sockaddr_storage
_PYTHON_LIMIT = 1024  # bytes of an option that Python reads

_libc = ctypes.CDLL(None, use_errno=True)
_getsockopt = _libc.getsockopt
_getsockopt.restype = ctypes.c_int
_getsockopt.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]


def socket(family: int, kind: int, protocol: int) -> int:
    """socket(2): a new descriptor, close-on-exec."""
    return syscall("socket", family, kind | abi.SOCK_CLOEXEC, protocol)


def socketpair(family: int, kind: int, protocol: int) -> tuple[int, int]:
    """socketpair(2): two new descriptors, close-on-exec."""
    pair = (ctypes.c_int * 2)()
    syscall("socketpair", family, kind | abi.SOCK_CLOEXEC, protocol, ctypes.addressof(pair))
    return pair[0], pair[1]


@contextmanager
def opened(family: int, kind: int, protocol: int) -> Iterator[int]:
    """A new socket that is closed at the end."""
    fd = socket(family, kind, protocol)
    try:
        yield fd
    finally:
        os.close(fd)


def getsockopt(fd: int, level: int, name: int, size: int = 4, initial: bytes = b"") -> bytes:
    """The value of an option: at most *size* bytes. *initial* is in the buffer before: some options read it."""
    if 0 < size <= _PYTHON_LIMIT and not initial:
        borrowed = _socket.socket(0, 0, 0, fd)
        try:
            return borrowed.getsockopt(level, name, size)
        except OSError as error:
            raise OSError(error.errno, f"getsockopt {level} {name}: {error.strerror}") from None
        finally:
            borrowed.detach()
    buffer = ctypes.create_string_buffer(initial, size) if size else ctypes.create_string_buffer(1)
    length = ctypes.c_uint(size)
    if _getsockopt(fd, level, name, buffer, ctypes.byref(length)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"getsockopt {level} {name}: {os.strerror(number)}")
    return buffer.raw[: min(length.value, size)]


def getsockopts(fd: int, wanted: Sequence[tuple[int, int, int]]) -> list[bytes | None]:
    """The values of many options (level, name, size), None for those that cannot be read."""
    # Python's own socket: a third of the time that ctypes takes, which counts for thousands of sockets.
    found: list[bytes | None] = []
    borrowed = _socket.socket(0, 0, 0, fd)
    try:
        ask = borrowed.getsockopt
        for level, name, size in wanted:
            try:
                found.append(ask(level, name, size) if size <= _PYTHON_LIMIT else getsockopt(fd, level, name, size))
            except OSError:
                found.append(None)
    finally:
        borrowed.detach()
    return found


def integer(fd: int, level: int, name: int) -> int:
    """The value of an option that is a signed int."""
    borrowed = _socket.socket(0, 0, 0, fd)
    try:
        return borrowed.getsockopt(level, name)
    except OSError as error:
        raise OSError(error.errno, f"getsockopt {level} {name}: {error.strerror}") from None
    finally:
        borrowed.detach()


def facts(fd: int) -> tuple[int, int, int]:
    """Family, type and protocol of a socket."""
    borrowed = _socket.socket(0, 0, 0, fd)
    try:
        ask = borrowed.getsockopt
        return (
            ask(abi.SOL_SOCKET, abi.SO_DOMAIN),
            ask(abi.SOL_SOCKET, abi.SO_TYPE),
            ask(abi.SOL_SOCKET, abi.SO_PROTOCOL),
        )
    finally:
        borrowed.detach()


def setsockopt(fd: int, level: int, name: int, value: bytes | int) -> None:
    """Sets an option; an int stands for the four bytes of one."""
    raw = (value & 0xFFFF_FFFF).to_bytes(4, "little") if isinstance(value, int) else value
    faults.fail_call()
    borrowed = _socket.socket(0, 0, 0, fd)
    try:
        if raw:
            borrowed.setsockopt(level, name, raw)
        else:
            borrowed.setsockopt(level, name, None, 0)
    except OSError as error:
        raise OSError(error.errno, f"setsockopt: {error.strerror}") from None
    finally:
        borrowed.detach()


def classic_filter(fd: int) -> bytes:
    """The instructions of the classic filter on a socket, none if there is no filter; PermissionError for eBPF."""
    # The length counts instructions, on the way in and out (sk_get_filter).
    count = ctypes.c_uint(0)
    _get_filter(fd, None, count)
    if not count.value:
        return b""
    buffer = ctypes.create_string_buffer(SOCK_FILTER.size * count.value)
    _get_filter(fd, buffer, count)
    return buffer.raw


def _get_filter(fd: int, buffer: ctypes.Array[ctypes.c_char] | None, count: ctypes.c_uint) -> None:
    if _getsockopt(fd, abi.SOL_SOCKET, abi.SO_GET_FILTER, buffer, ctypes.byref(count)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"SO_GET_FILTER: {os.strerror(number)}")


def attach_filter(fd: int, instructions: bytes) -> None:
    """Attaches a classic filter."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    count = len(instructions) // SOCK_FILTER.size
    setsockopt(fd, abi.SOL_SOCKET, abi.SO_ATTACH_FILTER, SOCK_FPROG.pack(count, ctypes.addressof(code)))


def bind(fd: int, address: bytes) -> None:
    """bind(2)."""
    buffer = ctypes.create_string_buffer(address, len(address))
    syscall("bind", fd, ctypes.addressof(buffer), len(address))


def connect(fd: int, address: bytes) -> None:
    """connect(2)."""
    buffer = ctypes.create_string_buffer(address, len(address))
    syscall("connect", fd, ctypes.addressof(buffer), len(address))


def listen(fd: int, backlog: int) -> None:
    """listen(2)."""
    syscall("listen", fd, backlog)


def shutdown(fd: int, how: int) -> None:
    """shutdown(2)."""
    syscall("shutdown", fd, how)


def getsockname(fd: int) -> bytes:
    """The address of this end."""
    return _name("getsockname", fd)


def getpeername(fd: int) -> bytes | None:
    """The address of the other end, None if there is none."""
    try:
        return _name("getpeername", fd)
    except OSError as error:
        if error.errno in (errno.ENOTCONN, errno.EOPNOTSUPP):
            return None
        raise


def sendto(fd: int, content: bytes, address: bytes | None = None, flags: int = 0) -> int:
    """sendto(2), or send(2) without *address*; returns the bytes sent."""
    data = ctypes.create_string_buffer(content, len(content)) if content else ctypes.create_string_buffer(1)
    flags |= abi.MSG_NOSIGNAL
    if address is None:
        return syscall("sendto", fd, ctypes.addressof(data), len(content), flags)
    name = ctypes.create_string_buffer(address, len(address))
    return syscall("sendto", fd, ctypes.addressof(data), len(content), flags, ctypes.addressof(name), len(address))


def _name(call: str, fd: int) -> bytes:
    buffer = ctypes.create_string_buffer(_ADDRESS_SIZE)
    length = ctypes.c_uint(_ADDRESS_SIZE)
    syscall(call, fd, ctypes.addressof(buffer), ctypes.addressof(length))
    return buffer.raw[: length.value]
