"""The options that any socket may have: level SOL_SOCKET of socket(7).

The kernel keeps them in the socket. Buffer sizes are kept doubled, with a bit each that says that they were chosen and
are not to be tuned. A classic filter (bpf) is kept as it was given; an eBPF filter is not.

We read them by getsockopt(2), as :mod:`.option_table` says.

We rebuild them by setsockopt(2): buffer sizes halved, beyond the limits for others (SO_SNDBUFFORCE) if crtool may,
then their bits; SO_PRIORITY after everything that changes it; filters and the peek offset when unread data are back.

Refused: eBPF filters. Lost: an error, or an entry of the error queue, that the program has not fetched; the count of
timestamped packets (SOF_TIMESTAMPING_OPT_ID).
"""

from __future__ import annotations

import select
from collections.abc import Iterator

from crtool.abi import socket as abi
from crtool.abi.socket import SOL_SOCKET
from crtool.kernel import sockets
from crtool.resources.files.sockets.option_table import FILLED, FRESH, Option

__all__ = ["OPTIONS", "has_ebpf_filter", "lost"]

_OPT_ID = 1 << 7  # SOF_TIMESTAMPING_OPT_ID


def _write_buffer(fd: int, option: Option, value: bytes) -> None:
    size = int.from_bytes(value, "little")
    forced = abi.SO_SNDBUFFORCE if option.name == abi.SO_SNDBUF else abi.SO_RCVBUFFORCE
    try:
        sockets.setsockopt(fd, SOL_SOCKET, forced, size // 2)
    except PermissionError:
        sockets.setsockopt(fd, SOL_SOCKET, option.name, size // 2)


def _read_filter(fd: int, _option: Option) -> bytes:
    return sockets.classic_filter(fd)


def _write_filter(fd: int, _option: Option, value: bytes) -> None:
    if value:
        sockets.attach_filter(fd, value)
    else:
        sockets.setsockopt(fd, SOL_SOCKET, abi.SO_DETACH_FILTER, 0)


def _write_device(fd: int, _option: Option, value: bytes) -> None:
    sockets.setsockopt(fd, SOL_SOCKET, abi.SO_BINDTODEVICE, value)


def _read_device(fd: int, _option: Option) -> bytes:
    return sockets.getsockopt(fd, SOL_SOCKET, abi.SO_BINDTODEVICE, 16).rstrip(b"\0")


def _option(name: int, label: str, *, size: int = 4, when: str = FRESH, optional: bool = False) -> Option:
    return Option(SOL_SOCKET, name, label, size, when, optional=optional)


def _buffer(name: int, label: str) -> Option:
    return Option(SOL_SOCKET, name, label, optional=True, write=_write_buffer)


OPTIONS = (
    _option(abi.SO_REUSEADDR, "SO_REUSEADDR"),
    _option(abi.SO_REUSEPORT, "SO_REUSEPORT"),
    Option(SOL_SOCKET, abi.SO_BINDTODEVICE, "SO_BINDTODEVICE", read=_read_device, write=_write_device),
    _option(abi.SO_MARK, "SO_MARK"),
    _option(abi.SO_DONTROUTE, "SO_DONTROUTE"),
    _option(abi.SO_BROADCAST, "SO_BROADCAST"),
    _buffer(abi.SO_SNDBUF, "SO_SNDBUF"),
    _buffer(abi.SO_RCVBUF, "SO_RCVBUF"),
    Option(SOL_SOCKET, abi.SO_BUF_LOCK, "SO_BUF_LOCK", always=True),  # since 5.15
    _option(abi.SO_DEBUG, "SO_DEBUG"),
    _option(abi.SO_KEEPALIVE, "SO_KEEPALIVE"),
    _option(abi.SO_LINGER, "SO_LINGER", size=8),
    _option(abi.SO_OOBINLINE, "SO_OOBINLINE"),
    _option(abi.SO_NO_CHECK, "SO_NO_CHECK"),
    _option(abi.SO_RCVTIMEO, "SO_RCVTIMEO", size=16),
    _option(abi.SO_SNDTIMEO, "SO_SNDTIMEO", size=16),
    _option(abi.SO_PASSCRED, "SO_PASSCRED"),
    _option(abi.SO_PASSSEC, "SO_PASSSEC"),
    _option(abi.SO_PASSPIDFD, "SO_PASSPIDFD"),  # since 6.5
    _option(abi.SO_PASSRIGHTS, "SO_PASSRIGHTS"),  # since 6.16
    _option(abi.SO_TIMESTAMP, "SO_TIMESTAMP"),
    _option(abi.SO_TIMESTAMPNS, "SO_TIMESTAMPNS"),
    _option(abi.SO_TIMESTAMP_NEW, "SO_TIMESTAMP_NEW"),
    _option(abi.SO_TIMESTAMPNS_NEW, "SO_TIMESTAMPNS_NEW"),
    _option(abi.SO_TIMESTAMPING, "SO_TIMESTAMPING", size=8),
    _option(abi.SO_TIMESTAMPING_NEW, "SO_TIMESTAMPING_NEW", size=8),
    _option(abi.SO_RXQ_OVFL, "SO_RXQ_OVFL"),
    _option(abi.SO_WIFI_STATUS, "SO_WIFI_STATUS"),
    _option(abi.SO_NOFCS, "SO_NOFCS"),
    _option(abi.SO_SELECT_ERR_QUEUE, "SO_SELECT_ERR_QUEUE"),
    _option(abi.SO_ZEROCOPY, "SO_ZEROCOPY"),
    _option(abi.SO_TXTIME, "SO_TXTIME", size=8),
    _option(abi.SO_RCVMARK, "SO_RCVMARK"),
    _option(abi.SO_RCVPRIORITY, "SO_RCVPRIORITY"),
    _option(abi.SO_MAX_PACING_RATE, "SO_MAX_PACING_RATE", size=8),
    _option(abi.SO_TXREHASH, "SO_TXREHASH"),
    _option(abi.SO_BUSY_POLL, "SO_BUSY_POLL", optional=True),
    _option(abi.SO_PREFER_BUSY_POLL, "SO_PREFER_BUSY_POLL", optional=True),
    _option(abi.SO_INCOMING_CPU, "SO_INCOMING_CPU", optional=True),
    _option(abi.SO_RESERVE_MEM, "SO_RESERVE_MEM", optional=True),
    _option(abi.SO_RCVLOWAT, "SO_RCVLOWAT", when=FILLED),
    # IP_TOS sets it too.
    Option(SOL_SOCKET, abi.SO_PRIORITY, "SO_PRIORITY", when=FILLED, always=True),
    Option(SOL_SOCKET, abi.SO_GET_FILTER, "SO_ATTACH_FILTER", when=FILLED, read=_read_filter, write=_write_filter),
    _option(abi.SO_LOCK_FILTER, "SO_LOCK_FILTER", when=FILLED),
    _option(abi.SO_PEEK_OFF, "SO_PEEK_OFF", when=FILLED),
)
"""In the order in which they are given back."""


def has_ebpf_filter(fd: int) -> bool:
    """Whether a filter is attached whose program the kernel does not give back."""
    try:
        sockets.classic_filter(fd)
    except PermissionError:
        return True
    except OSError:  # such sockets have no filters
        return False
    return False


def lost(fd: int) -> Iterator[str]:
    """What such a socket has that does not come back."""
    poll = select.poll()
    poll.register(fd, select.POLLPRI)
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        yield "an error that it has not fetched"
    flags = sockets.getsockopt(fd, SOL_SOCKET, abi.SO_TIMESTAMPING, 8)
    if int.from_bytes(flags[:4], "little") & _OPT_ID:
        yield "the number of its next timestamp"
