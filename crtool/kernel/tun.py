"""Network interfaces of programs (TUN, TAP): what a descriptor of /dev/net/tun says of its interface, and a new one.

Sources: Documentation/networking/tuntap.rst, include/uapi/linux/if_tun.h, man 7 netdevice.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct

__all__ = [
    "IFF_MULTI_QUEUE",
    "IFF_PERSIST",
    "IFF_TAP",
    "IFF_UP",
    "address",
    "attach",
    "attached",
    "header_size",
    "in_this_namespace",
    "link",
    "send_buffer",
    "set_address",
    "set_header_size",
    "set_link",
    "set_send_buffer",
]

IFF_TAP, IFF_MULTI_QUEUE, IFF_PERSIST, IFF_UP = 0x0002, 0x0100, 0x0800, 0x0001
_TUNSETIFF, _TUNGETIFF = 0x400454CA, 0x800454D2
_TUNGETSNDBUF, _TUNSETSNDBUF = 0x800454D3, 0x400454D4
_TUNGETVNETHDRSZ, _TUNSETVNETHDRSZ = 0x800454D7, 0x400454D8
_TUNGETDEVNETNS = 0x54E3
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCGIFMTU, _SIOCSIFMTU = 0x8913, 0x8914, 0x8921, 0x8922
_SIOCGIFHWADDR, _SIOCSIFHWADDR = 0x8927, 0x8924
_FLAGS = struct.Struct("<16sH22x")  # struct ifreq: name, flags
_NUMBER = struct.Struct("<16si20x")  # struct ifreq: name, MTU
_HARDWARE = struct.Struct("<16sH14s8x")  # struct ifreq: name, struct sockaddr


def attached(fd: int) -> tuple[bytes, int] | None:
    """Name and flags (IFF_*) of the interface of *fd*, None if it has none yet."""
    try:
        name, flags = _FLAGS.unpack(fcntl.ioctl(fd, _TUNGETIFF, bytes(_FLAGS.size)))
    except OSError:
        return None
    return name.rstrip(b"\0"), flags


def attach(fd: int, name: bytes, flags: int) -> None:
    """Gives *fd* the interface *name*, which is made if it is not there; raises OSError."""
    fcntl.ioctl(fd, _TUNSETIFF, _FLAGS.pack(name, flags))


def in_this_namespace(fd: int) -> bool:
    """Whether the interface is in the network namespace of this process (TUNGETDEVNETNS, since 5.2)."""
    try:
        space = fcntl.ioctl(fd, _TUNGETDEVNETNS)
    except OSError:
        return True  # a kernel that cannot say
    try:
        here, there = os.stat("/proc/thread-self/ns/net"), os.fstat(space)
    finally:
        os.close(space)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def send_buffer(fd: int) -> int:
    """Bytes that may be under way to the kernel."""
    return _get(fd, _TUNGETSNDBUF)


def set_send_buffer(fd: int, size: int) -> None:
    """Sets it."""
    fcntl.ioctl(fd, _TUNSETSNDBUF, struct.pack("<i", size))


def header_size(fd: int) -> int:
    """Bytes of the header (IFF_VNET_HDR) before each packet."""
    return _get(fd, _TUNGETVNETHDRSZ)


def set_header_size(fd: int, size: int) -> None:
    """Sets it."""
    fcntl.ioctl(fd, _TUNSETVNETHDRSZ, struct.pack("<i", size))


def address(name: bytes) -> bytes:
    """Type and hardware address of an interface, as a struct sockaddr; raises OSError."""
    with _socket() as line:
        _, family, value = _HARDWARE.unpack(fcntl.ioctl(line, _SIOCGIFHWADDR, _HARDWARE.pack(name, 0, b"")))
    return struct.pack("<H14s", family, value)


def set_address(name: bytes, value: bytes) -> None:
    """Sets it."""
    with _socket() as line:
        fcntl.ioctl(line, _SIOCSIFHWADDR, _HARDWARE.pack(name, *struct.unpack("<H14s", value)))


def link(name: bytes) -> tuple[int, int]:
    """MTU and flags (IFF_UP…) of an interface; raises OSError."""
    with _socket() as line:
        mtu: int = _NUMBER.unpack(fcntl.ioctl(line, _SIOCGIFMTU, _NUMBER.pack(name, 0)))[1]
        flags: int = _FLAGS.unpack(fcntl.ioctl(line, _SIOCGIFFLAGS, _FLAGS.pack(name, 0)))[1]
    return mtu, flags


def set_link(name: bytes, mtu: int, *, up: bool) -> None:
    """Sets the MTU, and whether the interface is up."""
    with _socket() as line:
        fcntl.ioctl(line, _SIOCSIFMTU, _NUMBER.pack(name, mtu))
        flags = _FLAGS.unpack(fcntl.ioctl(line, _SIOCGIFFLAGS, _FLAGS.pack(name, 0)))[1]
        fcntl.ioctl(line, _SIOCSIFFLAGS, _FLAGS.pack(name, flags | IFF_UP if up else flags & ~IFF_UP))


def _get(fd: int, request: int) -> int:
    value: int = struct.unpack("<i", fcntl.ioctl(fd, request, bytes(4)))[0]
    return value


def _socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
