"""/proc/net/udp and its like."""

from __future__ import annotations

import socket

import pytest

from crtool.procfs.error import ProcfsError
from crtool.procfs.net_sockets import SocketLine, parse

UDP = b"""\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 2181: 0100007F:0035 0200007F:1F90 01 00000000:00000000 00:00000000 00000000   102        0 24691 2 00000000 0
"""
UDP6 = b"""\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
 2181: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 0:0 00:0 0 102 0 9 2 0 0
"""


def test_four() -> None:
    expected = SocketLine(
        b"\x02\0\0\x35" + socket.inet_aton("127.0.0.1") + bytes(8),
        b"\x02\0\x1f\x90" + socket.inet_aton("127.0.0.2") + bytes(8),
        1,
        24691,
    )
    assert (expected,) == parse(UDP)


def test_six() -> None:
    local = b"\x0a\0\0\x35" + bytes(4) + socket.inet_pton(socket.AF_INET6, "::1") + bytes(4)
    assert (SocketLine(local, b"\x0a\0" + bytes(26), 7, 9),) == parse(UDP6)


@pytest.mark.parametrize("line", [b"0: 01:02", b"0: xx:0 yy:0 1 2 3 4 5 6 7 8", b"0: 01:1 01:2 1 2 3 4 5 6 7 8"])
def test_other_form(line: bytes) -> None:
    with pytest.raises(ProcfsError):
        parse(b"head\n" + line)
