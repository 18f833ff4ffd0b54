"""tcp(7): options, states and the structures of TCP_INFO and TCP_REPAIR_* (linux/tcp.h, net/tcp_states.h)."""

from __future__ import annotations

import struct
from enum import IntEnum

TCP_NODELAY = 1
TCP_MAXSEG = 2
TCP_CORK = 3
TCP_KEEPIDLE = 4
TCP_KEEPINTVL = 5
TCP_KEEPCNT = 6
TCP_SYNCNT = 7
TCP_LINGER2 = 8
TCP_DEFER_ACCEPT = 9
TCP_WINDOW_CLAMP = 10
TCP_INFO = 11
TCP_CONGESTION = 13
TCP_THIN_LINEAR_TIMEOUTS = 16
TCP_THIN_DUPACK = 17
TCP_USER_TIMEOUT = 18
TCP_REPAIR = 19
TCP_REPAIR_QUEUE = 20
TCP_QUEUE_SEQ = 21
TCP_REPAIR_OPTIONS = 22
TCP_FASTOPEN = 23
TCP_TIMESTAMP = 24
TCP_NOTSENT_LOWAT = 25
TCP_SAVE_SYN = 27
TCP_REPAIR_WINDOW = 29
TCP_FASTOPEN_CONNECT = 30
TCP_ULP = 31
TCP_FASTOPEN_KEY = 33
TCP_FASTOPEN_NO_COOKIE = 34
TCP_INQ = 36
TCP_TX_DELAY = 37
TCP_RTO_MAX_MS = 44
TCP_RTO_MIN_US = 45
TCP_DELACK_MAX_US = 46

REPAIR_ON, REPAIR_OFF, REPAIR_OFF_NO_WP = 1, 0, -1
NO_QUEUE, RECV_QUEUE, SEND_QUEUE = 0, 1, 2

TCPOPT_MSS, TCPOPT_WINDOW, TCPOPT_SACK_PERM, TCPOPT_TIMESTAMP = 2, 3, 4, 8
REPAIR_OPTION = struct.Struct("<II")  # struct tcp_repair_opt: code, value
REPAIR_WINDOW = struct.Struct("<5I")  # struct tcp_repair_window: snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup

TCPI_OPT_TIMESTAMPS, TCPI_OPT_SACK, TCPI_OPT_WSCALE = 1, 2, 4
INFO = struct.Struct("<8B24I4Q")  # the head of struct tcp_info, up to tcpi_bytes_received

TH_FIN, TH_RST, TH_ACK = 0x01, 0x04, 0x10
HEADER = struct.Struct(">HHIIBBHHH")  # struct tcphdr: ports, seq, ack, length << 4, flags, window, checksum, urgent

SIOCOUTQNSD = 0x894B


class State(IntEnum):
    """What the kernel calls TCP_ESTABLISHED and so on."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
