"""The options of sockets that speak IP: levels SOL_IP (ip(7)) and SOL_IPV6 (ipv6(7)).

The kernel keeps them in the socket; one of IPv6 has those of IPv4 too, but a raw one.

We read them by getsockopt(2), as :mod:`.option_table` says.

We rebuild them by setsockopt(2): what decides about addresses before the socket is bound, what throws packets away
after unread data are back, and network devices by their name.

Not seen, since the kernel does not tell: the device of IP_MULTICAST_IF without an address, IP_ROUTER_ALERT,
IPV6_PKTINFO, IPV6_MTU, and policies of IPsec.
"""

from __future__ import annotations

from crtool.abi import ip as abi
from crtool.abi.socket import SOL_IP, SOL_IPV6
from crtool.resources.files.sockets.option_table import FILLED, FRESH, Option, device

__all__ = ["OPTIONS"]

_OPTIONS_SIZE = 40  # of IPv4, at most
_HEADER_SIZE = 2048  # of an extension header of IPv6, at most 8 · 256


def _four(name: int, label: str, *, size: int = 4, when: str = FRESH) -> Option:
    return Option(SOL_IP, name, label, size, when)


def _six(name: int, label: str, *, size: int = 4, when: str = FRESH) -> Option:
    return Option(SOL_IPV6, name, label, size, when)


OPTIONS = (
    _four(abi.IP_FREEBIND, "IP_FREEBIND"),
    _four(abi.IP_TRANSPARENT, "IP_TRANSPARENT"),
    _four(abi.IP_BIND_ADDRESS_NO_PORT, "IP_BIND_ADDRESS_NO_PORT"),
    _four(abi.IP_LOCAL_PORT_RANGE, "IP_LOCAL_PORT_RANGE"),  # since 6.3
    _four(abi.IP_HDRINCL, "IP_HDRINCL"),
    _four(abi.IP_NODEFRAG, "IP_NODEFRAG"),
    _four(abi.IP_TOS, "IP_TOS"),
    _four(abi.IP_TTL, "IP_TTL"),
    _four(abi.IP_OPTIONS, "IP_OPTIONS", size=_OPTIONS_SIZE),
    _four(abi.IP_RECVOPTS, "IP_RECVOPTS"),
    _four(abi.IP_RETOPTS, "IP_RETOPTS"),
    _four(abi.IP_PKTINFO, "IP_PKTINFO"),
    _four(abi.IP_MTU_DISCOVER, "IP_MTU_DISCOVER"),
    _four(abi.IP_RECVERR, "IP_RECVERR"),
    _four(abi.IP_RECVERR_RFC4884, "IP_RECVERR_RFC4884"),
    _four(abi.IP_RECVTTL, "IP_RECVTTL"),
    _four(abi.IP_RECVTOS, "IP_RECVTOS"),
    _four(abi.IP_PASSSEC, "IP_PASSSEC"),
    _four(abi.IP_RECVORIGDSTADDR, "IP_RECVORIGDSTADDR"),
    _four(abi.IP_RECVFRAGSIZE, "IP_RECVFRAGSIZE"),
    _four(abi.IP_CHECKSUM, "IP_CHECKSUM"),
    device(SOL_IP, abi.IP_UNICAST_IF, "IP_UNICAST_IF", "big"),
    _four(abi.IP_MULTICAST_IF, "IP_MULTICAST_IF"),
    _four(abi.IP_MULTICAST_TTL, "IP_MULTICAST_TTL"),
    _four(abi.IP_MULTICAST_LOOP, "IP_MULTICAST_LOOP"),
    _four(abi.IP_MULTICAST_ALL, "IP_MULTICAST_ALL"),
    _four(abi.IP_MINTTL, "IP_MINTTL", when=FILLED),
    _six(abi.IPV6_V6ONLY, "IPV6_V6ONLY"),
    _six(abi.IPV6_FREEBIND, "IPV6_FREEBIND"),
    _six(abi.IPV6_TRANSPARENT, "IPV6_TRANSPARENT"),
    _six(abi.IPV6_HDRINCL, "IPV6_HDRINCL"),
    _six(abi.IPV6_CHECKSUM, "IPV6_CHECKSUM"),
    _six(abi.IPV6_TCLASS, "IPV6_TCLASS"),
    _six(abi.IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS"),
    _six(abi.IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER"),
    _six(abi.IPV6_DONTFRAG, "IPV6_DONTFRAG"),
    _six(abi.IPV6_ADDR_PREFERENCES, "IPV6_ADDR_PREFERENCES"),
    _six(abi.IPV6_AUTOFLOWLABEL, "IPV6_AUTOFLOWLABEL"),
    _six(abi.IPV6_FLOWINFO_SEND, "IPV6_FLOWINFO_SEND"),
    _six(abi.IPV6_FLOWINFO, "IPV6_FLOWINFO"),
    _six(abi.IPV6_HOPOPTS, "IPV6_HOPOPTS", size=_HEADER_SIZE),
    _six(abi.IPV6_RTHDR, "IPV6_RTHDR", size=_HEADER_SIZE),
    _six(abi.IPV6_RTHDRDSTOPTS, "IPV6_RTHDRDSTOPTS", size=_HEADER_SIZE),
    _six(abi.IPV6_DSTOPTS, "IPV6_DSTOPTS", size=_HEADER_SIZE),
    _six(abi.IPV6_RECVERR, "IPV6_RECVERR"),
    _six(abi.IPV6_RECVERR_RFC4884, "IPV6_RECVERR_RFC4884"),
    _six(abi.IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO"),
    _six(abi.IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT"),
    _six(abi.IPV6_RECVHOPOPTS, "IPV6_RECVHOPOPTS"),
    _six(abi.IPV6_RECVRTHDR, "IPV6_RECVRTHDR"),
    _six(abi.IPV6_RECVDSTOPTS, "IPV6_RECVDSTOPTS"),
    _six(abi.IPV6_RECVPATHMTU, "IPV6_RECVPATHMTU"),
    _six(abi.IPV6_RECVTCLASS, "IPV6_RECVTCLASS"),
    _six(abi.IPV6_RECVORIGDSTADDR, "IPV6_RECVORIGDSTADDR"),
    _six(abi.IPV6_RECVFRAGSIZE, "IPV6_RECVFRAGSIZE"),
    _six(abi.IPV6_2292PKTINFO, "IPV6_2292PKTINFO"),
    _six(abi.IPV6_2292HOPLIMIT, "IPV6_2292HOPLIMIT"),
    _six(abi.IPV6_2292HOPOPTS, "IPV6_2292HOPOPTS"),
    _six(abi.IPV6_2292RTHDR, "IPV6_2292RTHDR"),
    _six(abi.IPV6_2292DSTOPTS, "IPV6_2292DSTOPTS"),
    device(SOL_IPV6, abi.IPV6_UNICAST_IF, "IPV6_UNICAST_IF", "big"),
    device(SOL_IPV6, abi.IPV6_MULTICAST_IF, "IPV6_MULTICAST_IF"),
    _six(abi.IPV6_MULTICAST_HOPS, "IPV6_MULTICAST_HOPS"),
    _six(abi.IPV6_MULTICAST_LOOP, "IPV6_MULTICAST_LOOP"),
    _six(abi.IPV6_MULTICAST_ALL, "IPV6_MULTICAST_ALL"),
    _six(abi.IPV6_ROUTER_ALERT_ISOLATE, "IPV6_ROUTER_ALERT_ISOLATE"),
    _six(abi.IPV6_MINHOPCOUNT, "IPV6_MINHOPCOUNT", when=FILLED),
)
"""In the order in which they are given back. IPv6 behind IPv4: where both levels set the same, the values are equal."""
