"""Socket options: what was set on one socket is found on another one that got its records, and nothing else."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

import pytest

from crtool.abi import ip
from crtool.abi import socket as abi
from crtool.errors import EnvironmentDiffers, ImageError
from crtool.kernel import sockets
from crtool.resources.files.sockets import ip_options, options
from crtool.resources.files.sockets.option_table import FILLED, FRESH, OptionRecord, OptionTable

TABLE = OptionTable(*ip_options.OPTIONS, *options.OPTIONS)
ALWAYS = {(abi.SOL_SOCKET, abi.SO_BUF_LOCK), (abi.SOL_SOCKET, abi.SO_PRIORITY)}
RETURN_ALL = struct.pack("<HBBI", 0x06, 0, 0, 0xFFFF)
SECOND = struct.pack("<qq", 1, 0)

# What is set, per kind of socket: level, option, value.
CASES = {
    "udp": (
        (socket.AF_INET, socket.SOCK_DGRAM, 0),
        [
            *((abi.SOL_SOCKET, name, 1) for name in (
                abi.SO_REUSEADDR, abi.SO_REUSEPORT, abi.SO_BROADCAST, abi.SO_DONTROUTE, abi.SO_NO_CHECK,
                abi.SO_RXQ_OVFL, abi.SO_TIMESTAMPNS, abi.SO_SELECT_ERR_QUEUE, abi.SO_ZEROCOPY, abi.SO_RCVMARK,
            )),
            (abi.SOL_SOCKET, abi.SO_MARK, 77),
            (abi.SOL_SOCKET, abi.SO_PEEK_OFF, 3),
            (abi.SOL_SOCKET, abi.SO_INCOMING_CPU, 0),
            (abi.SOL_SOCKET, abi.SO_SNDBUF, 20000),
            (abi.SOL_SOCKET, abi.SO_RCVBUFFORCE, 10_000_000),
            (abi.SOL_SOCKET, abi.SO_RCVTIMEO, SECOND),
            (abi.SOL_SOCKET, abi.SO_SNDTIMEO, SECOND),
            (abi.SOL_SOCKET, abi.SO_LINGER, struct.pack("<ii", 1, 7)),
            (abi.SOL_SOCKET, abi.SO_MAX_PACING_RATE, struct.pack("<Q", 123456)),
            (abi.SOL_SOCKET, abi.SO_TXTIME, struct.pack("<ii", 11, 1)),
            *((abi.SOL_IP, name, 1) for name in (
                ip.IP_FREEBIND, ip.IP_TRANSPARENT, ip.IP_BIND_ADDRESS_NO_PORT, ip.IP_RECVOPTS, ip.IP_PKTINFO,
                ip.IP_RECVERR, ip.IP_RECVTTL, ip.IP_RECVTOS, ip.IP_RECVORIGDSTADDR, ip.IP_CHECKSUM, ip.IP_RECVFRAGSIZE,
            )),
            (abi.SOL_IP, ip.IP_TOS, 0x10),
            (abi.SOL_IP, ip.IP_TTL, 3),
            (abi.SOL_IP, ip.IP_MINTTL, 2),
            (abi.SOL_IP, ip.IP_MTU_DISCOVER, 3),
            (abi.SOL_IP, ip.IP_OPTIONS, b"\x94\x04\0\0"),
            (abi.SOL_IP, ip.IP_MULTICAST_TTL, 9),
            (abi.SOL_IP, ip.IP_MULTICAST_LOOP, 0),
            (abi.SOL_IP, ip.IP_MULTICAST_ALL, 0),
            (abi.SOL_IP, ip.IP_MULTICAST_IF, bytes((127, 0, 0, 1))),
            (abi.SOL_IP, ip.IP_UNICAST_IF, struct.pack(">I", 1)),
            (abi.SOL_IP, ip.IP_LOCAL_PORT_RANGE, struct.pack("<HH", 40000, 40100)),
            (abi.SOL_SOCKET, abi.SO_BINDTODEVICE, b"lo"),
        ],
    ),
    "udp6": (
        (socket.AF_INET6, socket.SOCK_DGRAM, 0),
        [
            *((abi.SOL_IPV6, name, 1) for name in (
                ip.IPV6_V6ONLY, ip.IPV6_RECVERR, ip.IPV6_RECVPKTINFO, ip.IPV6_RECVHOPLIMIT, ip.IPV6_RECVHOPOPTS,
                ip.IPV6_RECVRTHDR, ip.IPV6_RECVDSTOPTS, ip.IPV6_RECVPATHMTU, ip.IPV6_RECVTCLASS, ip.IPV6_DONTFRAG,
                ip.IPV6_FLOWINFO_SEND, ip.IPV6_MULTICAST_IF,
            )),
            (abi.SOL_IPV6, ip.IPV6_UNICAST_IF, struct.pack(">I", 1)),
            (abi.SOL_IPV6, ip.IPV6_TCLASS, 0x20),
            (abi.SOL_IPV6, ip.IPV6_UNICAST_HOPS, 5),
            (abi.SOL_IPV6, ip.IPV6_MULTICAST_HOPS, 6),
            (abi.SOL_IPV6, ip.IPV6_MULTICAST_LOOP, 0),
            (abi.SOL_IPV6, ip.IPV6_MINHOPCOUNT, 1),
            (abi.SOL_IPV6, ip.IPV6_AUTOFLOWLABEL, 0),
            (abi.SOL_IPV6, ip.IPV6_ADDR_PREFERENCES, 2),
            (abi.SOL_IPV6, ip.IPV6_HOPOPTS, bytes((0, 0, 1, 4, 0, 0, 0, 0))),
            (abi.SOL_IP, ip.IP_TTL, 9),
            (abi.SOL_SOCKET, abi.SO_TIMESTAMPING_NEW, struct.pack("<ii", 1 << 4, 0)),
            (abi.SOL_SOCKET, abi.SO_ATTACH_FILTER, RETURN_ALL),
            (abi.SOL_SOCKET, abi.SO_LOCK_FILTER, 1),
        ],
    ),
    "unix": (
        (socket.AF_UNIX, socket.SOCK_STREAM, 0),
        [
            (abi.SOL_SOCKET, abi.SO_PASSCRED, 1),
            (abi.SOL_SOCKET, abi.SO_TIMESTAMP, 1),
            (abi.SOL_SOCKET, abi.SO_RCVLOWAT, 5),
            (abi.SOL_SOCKET, abi.SO_PRIORITY, 4),
        ],
    ),
    "tcp": ((socket.AF_INET, socket.SOCK_STREAM, 0), [(abi.SOL_SOCKET, abi.SO_OOBINLINE, 1), (1, abi.SO_TXREHASH, 0)]),
}  # fmt: skip


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Two fresh sockets of the kind."""
    fds = [sockets.socket(*request.param) for _ in range(2)]
    yield fds[0], fds[1]
    for fd in fds:
        os.close(fd)


def give(fd: int, level: int, name: int, value: bytes | int) -> None:
    if name == abi.SO_ATTACH_FILTER and level == abi.SOL_SOCKET:
        assert isinstance(value, bytes)
        sockets.attach_filter(fd, value)
    else:
        sockets.setsockopt(fd, level, name, value)


def move(source: int, target: int) -> list[str]:
    warnings: list[str] = []
    records = TABLE.dump(source)
    for when in (FRESH, FILLED):
        TABLE.restore(target, records, when, "the socket", warnings.append)
    assert records == TABLE.dump(target)
    return warnings


@pytest.mark.parametrize(("pair", "wanted"), list(CASES.values()), ids=list(CASES), indirect=["pair"])
def test_all_at_once(pair: tuple[int, int], wanted: list[tuple[int, int, bytes | int]]) -> None:
    """Every option that was set is recorded, and found again on another socket."""
    if os.geteuid():
        pytest.skip("needs root")
    for level, name, value in wanted:
        give(pair[0], level, name, value)
    forced = {abi.SO_RCVBUFFORCE: abi.SO_RCVBUF, abi.SO_SNDBUFFORCE: abi.SO_SNDBUF}
    expected = {(level, forced.get(name, name) if level == abi.SOL_SOCKET else name) for level, name, _ in wanted}
    assert expected <= {(record.level, record.name) for record in TABLE.dump(pair[0])}
    assert [] == move(*pair)


@pytest.mark.parametrize("pair", [case[0] for case in CASES.values()], ids=list(CASES), indirect=True)
def test_nothing_set(pair: tuple[int, int]) -> None:
    assert ALWAYS == {(record.level, record.name) for record in TABLE.dump(pair[0])}
    assert [] == move(*pair)


@pytest.mark.parametrize("pair", [CASES["udp"][0]], indirect=True)
def test_priority_that_tos_would_change(pair: tuple[int, int]) -> None:
    sockets.setsockopt(pair[0], abi.SOL_IP, ip.IP_TOS, 0x10)
    sockets.setsockopt(pair[0], abi.SOL_SOCKET, abi.SO_PRIORITY, 0)
    assert [] == move(*pair)
    assert sockets.integer(pair[1], abi.SOL_SOCKET, abi.SO_PRIORITY) == 0


@pytest.mark.parametrize("pair", [CASES["udp"][0]], indirect=True)
def test_what_cannot_be_set_is_named(pair: tuple[int, int]) -> None:
    missing = OptionRecord(abi.SOL_SOCKET, abi.SO_BINDTODEVICE, b"nosuch0")
    with pytest.raises(
        EnvironmentDiffers, match="the socket: SO_BINDTODEVICE: there is no network device nosuch0"
    ):
        TABLE.restore(pair[0], [missing], FRESH, "the socket", print)
    with pytest.raises(ImageError, match="options that this crtool does not know"):
        TABLE.restore(pair[0], [OptionRecord(99, 99, b"")], FRESH, "the socket", print)


@pytest.mark.parametrize("pair", [CASES["udp"][0]], indirect=True)
def test_losses(pair: tuple[int, int]) -> None:
    assert [] == list(options.lost(pair[0]))
    sockets.setsockopt(pair[0], abi.SOL_SOCKET, abi.SO_TIMESTAMPING, 1 << 7)
    assert ["the number of its next timestamp"] == list(options.lost(pair[0]))
    # Nobody listens there: the answer is an error that stays with the socket.
    with sockets.opened(socket.AF_INET, socket.SOCK_DGRAM, 0) as there:
        sockets.bind(there, ip.SOCKADDR_IN.pack(socket.AF_INET, b"\0\0", bytes((127, 0, 0, 1))))
        nobody = sockets.getsockname(there)
    sockets.connect(pair[1], nobody)
    sockets.sendto(pair[1], b"x")
    assert ["an error that it has not fetched"] == list(options.lost(pair[1]))
