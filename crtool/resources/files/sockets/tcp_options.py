"""The options of TCP sockets: level SOL_TCP of tcp(7).

The kernel keeps them in the socket; what was accepted has those of the listening socket.

We read them by getsockopt(2), as :mod:`.option_table` says.

We rebuild them by setsockopt(2), before the socket is bound.

Not seen, since the kernel does not tell: keys of MD5 and AO signatures, TCP_QUICKACK, which the kernel changes
by itself, and the TCP_MAXSEG of a connection. Lost: the TCP_SAVED_SYN of a connection, and what only makes things
faster, if this kernel does not have it.
"""

from __future__ import annotations

import errno

from crtool.abi import ip as ip_abi
from crtool.abi import tcp as abi
from crtool.abi.socket import SOL_IP, SOL_IPV6, SOL_TCP
from crtool.abi.tcp import State
from crtool.kernel import sockets, tcp
from crtool.resources.files.sockets import ip_options, options
from crtool.resources.files.sockets.option_table import FILLED, Option, OptionTable

__all__ = ["TABLE"]


def _option(name: int, label: str, *, size: int = 4, optional: bool = False) -> Option:
    return Option(SOL_TCP, name, label, size, optional=optional)


def _read_segment_size(fd: int, option: Option) -> bytes:
    """What was asked for; of what is or was a connection the kernel only tells what is used."""
    found = tcp.info(fd)
    if found.was_connected or found.state not in (State.CLOSE, State.LISTEN):
        raise OSError(errno.ENOPROTOOPT, "not shown")
    return sockets.getsockopt(fd, option.level, option.name)


# An accepted connection shows here what its SYN was like; TCP does not use it, and does not let it be set.
_NOT_OF_TCP = {
    (SOL_IP, ip_abi.IP_MULTICAST_IF),
    (SOL_IP, ip_abi.IP_MULTICAST_TTL),
    (SOL_IP, ip_abi.IP_MULTICAST_LOOP),
    (SOL_IP, ip_abi.IP_MULTICAST_ALL),
    (SOL_IPV6, ip_abi.IPV6_MULTICAST_IF),
    (SOL_IPV6, ip_abi.IPV6_MULTICAST_HOPS),
    (SOL_IPV6, ip_abi.IPV6_MULTICAST_LOOP),
    (SOL_IPV6, ip_abi.IPV6_MULTICAST_ALL),
}

TABLE = OptionTable(
    *options.OPTIONS,
    *(option for option in ip_options.OPTIONS if (option.level, option.name) not in _NOT_OF_TCP),
    _option(abi.TCP_CONGESTION, "TCP_CONGESTION", size=16, optional=True),
    Option(SOL_TCP, abi.TCP_MAXSEG, "TCP_MAXSEG", read=_read_segment_size),
    _option(abi.TCP_NODELAY, "TCP_NODELAY"),
    _option(abi.TCP_CORK, "TCP_CORK"),
    _option(abi.TCP_KEEPIDLE, "TCP_KEEPIDLE"),
    _option(abi.TCP_KEEPINTVL, "TCP_KEEPINTVL"),
    _option(abi.TCP_KEEPCNT, "TCP_KEEPCNT"),
    _option(abi.TCP_SYNCNT, "TCP_SYNCNT"),
    _option(abi.TCP_LINGER2, "TCP_LINGER2"),
    _option(abi.TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT"),
    _option(abi.TCP_THIN_LINEAR_TIMEOUTS, "TCP_THIN_LINEAR_TIMEOUTS", optional=True),
    _option(abi.TCP_THIN_DUPACK, "TCP_THIN_DUPACK", optional=True),
    _option(abi.TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT"),
    _option(abi.TCP_FASTOPEN, "TCP_FASTOPEN", optional=True),
    _option(abi.TCP_FASTOPEN_KEY, "TCP_FASTOPEN_KEY", size=32, optional=True),
    _option(abi.TCP_FASTOPEN_CONNECT, "TCP_FASTOPEN_CONNECT", optional=True),
    _option(abi.TCP_FASTOPEN_NO_COOKIE, "TCP_FASTOPEN_NO_COOKIE", optional=True),
    _option(abi.TCP_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT"),
    _option(abi.TCP_SAVE_SYN, "TCP_SAVE_SYN"),
    _option(abi.TCP_INQ, "TCP_INQ"),
    _option(abi.TCP_TX_DELAY, "TCP_TX_DELAY", optional=True),
    _option(abi.TCP_RTO_MAX_MS, "TCP_RTO_MAX_MS", optional=True),  # since 6.15
    _option(abi.TCP_RTO_MIN_US, "TCP_RTO_MIN_US", optional=True),  # since 6.19
    _option(abi.TCP_DELACK_MAX_US, "TCP_DELACK_MAX_US", optional=True),
    Option(SOL_TCP, abi.TCP_WINDOW_CLAMP, "TCP_WINDOW_CLAMP", when=FILLED, optional=True),
)
