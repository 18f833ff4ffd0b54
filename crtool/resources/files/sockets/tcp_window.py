"""How much each end of a TCP connection may send: what a connection that was made in repair mode has to be told anew.

A connection that is rebuilt begins like a new one, with a small window that grows, and with segments that are sized
before any window is known. Both may leave it with segments that do not fit into the window of the other end; then each
of them waits for a timer (200 ms), which loopback connections with full queues would do for minutes.
"""

from __future__ import annotations

from contextlib import suppress

from crtool.abi import tcp as abi
from crtool.abi.ip import IP_OPTIONS, IPV6_DSTOPTS
from crtool.abi.socket import SOL_IP, SOL_IPV6, SOL_TCP
from crtool.kernel import sockets, tcp
from crtool.resources.files.sockets.tcp import ConnectionRecord

__all__ = ["segment_window", "set_windows"]

_SMALLEST = 2304  # a larger value than SOCK_MIN_RCVBUF / 2, below which no clamp can be
_OPTIONS_SIZE, _HEADER_SIZE = 40, 2048  # bytes of options of IPv4, and of a header of IPv6, at the most
_PADDING = bytes([0, 0, 1, 4, 0, 0, 0, 0])  # struct ipv6_opt_hdr of eight bytes, and one PadN option


def set_windows(fd: int, connection: ConnectionRecord, remote: bytes) -> None:
    """Sets both windows of socket *fd*, which is in repair mode and knows what was agreed. Raises OSError.

    *remote*: struct sockaddr of the other end.
    """
    snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup = connection.window
    # A window that began behind a FIN begins before it now, and has room for the FIN.
    snd_wl1 = _not_after(snd_wl1, connection.rcv_next)
    rcv_wup = _not_after(rcv_wup, connection.rcv_next)
    rcv_wnd = max(rcv_wnd, (connection.rcv_next - rcv_wup & 0xFFFF_FFFF) + 1)
    if connection.clamp > _SMALLEST < connection.threshold:
        # A clamp that grows raises the threshold to the window of that moment (tcp_set_window_clamp()).
        sockets.setsockopt(fd, SOL_TCP, abi.TCP_WINDOW_CLAMP, _SMALLEST)
        _set(fd, snd_wl1, snd_wnd, max_window, connection.threshold, connection.rcv_next)
        sockets.setsockopt(fd, SOL_TCP, abi.TCP_WINDOW_CLAMP, connection.clamp)
    _set(fd, snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup)
    _fit_segments(fd, remote)


def segment_window(connection: ConnectionRecord) -> int:
    """The window that a segment of the other end has in its header, if nothing has changed since the last one."""
    return min(connection.window[1] >> max(connection.snd_wscale, 0), 0xFFFF)


def _set(fd: int, *window: int) -> None:
    sockets.setsockopt(fd, SOL_TCP, abi.TCP_REPAIR_WINDOW, abi.REPAIR_WINDOW.pack(*window))


def _fit_segments(fd: int, remote: bytes) -> None:
    """Lets the kernel reckon anew how large segments may be: half the largest window (tcp_bound_to_half_wnd()).

    It does so when options of IPv4 are set, even to what they are, or a header of IPv6, which has to be a new one. That
    is taken away again before anything is sent; the kernel goes on keeping its eight bytes of every segment free.
    """
    if len(tcp.host_of(remote)[0]) == 4:
        sockets.setsockopt(fd, SOL_IP, IP_OPTIONS, sockets.getsockopt(fd, SOL_IP, IP_OPTIONS, _OPTIONS_SIZE))
        return
    header = sockets.getsockopt(fd, SOL_IPV6, IPV6_DSTOPTS, _HEADER_SIZE)
    if not header:
        with suppress(PermissionError):  # without CAP_NET_RAW it is as it is
            sockets.setsockopt(fd, SOL_IPV6, IPV6_DSTOPTS, _PADDING)
            sockets.setsockopt(fd, SOL_IPV6, IPV6_DSTOPTS, b"")


def _not_after(number: int, limit: int) -> int:
    """*number*, or *limit* if that comes first, of sequence numbers."""
    return limit if (limit - number) & 0x8000_0000 else number
