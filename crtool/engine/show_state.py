"""What an image tells of the signals, timers and sockets of a process, for people and scripts."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from crtool.abi import time as clocks
from crtool.abi.signals import SIG_DFL, SIG_IGN, SIGALRM, bit
from crtool.abi.socket import SOCK_RAW
from crtool.engine.results import SignalSummary, SocketSummary, TimerSummary
from crtool.engine.snapshot import ProcessRecord, Snapshot
from crtool.resources.files.kinds import DescriptionRecord
from crtool.resources.files.sockets.datagram import InetRecord
from crtool.resources.files.sockets.netlink import NetlinkRecord
from crtool.resources.files.sockets.packet import PacketRecord
from crtool.resources.files.sockets.tcp import TcpRecord
from crtool.resources.files.sockets.tcp import show as show_address
from crtool.resources.files.sockets.unix import UnixRecord, shown_name
from crtool.resources.files.timerfd import TimerfdRecord
from crtool.resources.sigpending import PendingRecord
from crtool.resources.timers.posix import PosixTimerRecord

__all__ = ["signals", "sockets", "timers"]

_ESTABLISHED, _LISTEN = 1, 10  # TCP_*, by which also unix sockets tell their states
_USEC = 1000  # nanoseconds
# setitimer(2): the name of each timer, and the signal that it sends.
_ITIMERS = {
    clocks.ITIMER_REAL: ("ITIMER_REAL", SIGALRM),
    clocks.ITIMER_VIRTUAL: ("ITIMER_VIRTUAL", signal.SIGVTALRM),
    clocks.ITIMER_PROF: ("ITIMER_PROF", signal.SIGPROF),
}
_CLOCKS = {
    clocks.CLOCK_REALTIME: "CLOCK_REALTIME",
    clocks.CLOCK_MONOTONIC: "CLOCK_MONOTONIC",
    clocks.CLOCK_PROCESS_CPUTIME_ID: "CLOCK_PROCESS_CPUTIME_ID",
    clocks.CLOCK_THREAD_CPUTIME_ID: "CLOCK_THREAD_CPUTIME_ID",
    clocks.CLOCK_BOOTTIME: "CLOCK_BOOTTIME",
    clocks.CLOCK_REALTIME_ALARM: "CLOCK_REALTIME_ALARM",
    clocks.CLOCK_BOOTTIME_ALARM: "CLOCK_BOOTTIME_ALARM",
    clocks.CLOCK_TAI: "CLOCK_TAI",
}


def signals(record: ProcessRecord) -> Iterator[SignalSummary]:
    """The signals that something is to be said of: not at their default, blocked, or waiting."""
    if record.state is None:
        return
    handlers = {action.signal: action.handler for action in record.state.actions}
    pending = [record.state.pending, *(thread.state.pending for thread in record.threads)]
    for number in range(1, 65):
        handler = handlers.get(number, SIG_DFL)
        action = {SIG_DFL: "default", SIG_IGN: "ignored"}.get(handler, "caught")
        blocked = tuple(thread.tid for thread in record.threads if thread.mask & bit(number))
        waiting = sum(_count(part, number) for part in pending)
        if action != "default" or blocked or waiting:
            yield SignalSummary(number, _signal_name(number), action, blocked, waiting)


def _count(record: PendingRecord, number: int) -> int:
    queued = sum(int.from_bytes(info[:4], "little") == number for info in record.queue)
    return queued + bool(record.bare & bit(number))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}" if number >= signal.SIGRTMIN else f"signal {number}"


def timers(record: ProcessRecord, snapshot: Snapshot) -> Iterator[TimerSummary]:
    """Interval timers, POSIX timers and timer descriptors."""
    if record.state is None:
        return
    for interval in record.state.itimers:
        name, number = _ITIMERS.get(interval.which, (f"timer {interval.which}", 0))
        value, period = interval.value * _USEC, interval.interval * _USEC
        yield TimerSummary("interval timer", name, value, period, f"sends {_signal_name(number)}")
    for timer in record.state.timers:
        yield TimerSummary(f"timer {timer.id}", _clock(timer.clock), timer.left, timer.interval, _notice(timer))
    for fd, description in _descriptors(record, snapshot):
        if isinstance(description, TimerfdRecord):
            unread = f"{description.ticks} unread"
            yield TimerSummary(f"fd {fd}", _clock(description.clock), description.left, description.interval, unread)


def _clock(number: int) -> str:
    if number >= 0:
        return _CLOCKS.get(number, f"clock {number}")
    kind = "thread" if number & clocks.CPUCLOCK_PERTHREAD else "process"
    owner = clocks.cpu_clock_owner(number)
    return f"CPU time of {kind} {owner}" if owner else f"CPU time of its {kind}"


def _notice(timer: PosixTimerRecord) -> str:
    if timer.notify == clocks.SIGEV_NONE:
        return "tells nobody"
    to = f" to thread {timer.target}" if timer.target else ""
    return f"sends {_signal_name(timer.signal)}{to}"


def sockets(record: ProcessRecord, snapshot: Snapshot) -> Iterator[SocketSummary]:
    """The sockets among the descriptors."""
    for fd, description in _descriptors(record, snapshot):
        match description:
            case TcpRecord():
                ends = _address(description.local), _address(description.remote)
                yield SocketSummary(fd, "tcp", *ends, description.state.name.lower().replace("_", "-"))
            case InetRecord():
                ends = _address(description.local), _address(description.remote)
                kind = "raw" if description.kind == SOCK_RAW else _protocol(description.protocol)
                yield SocketSummary(fd, kind, *ends, _unread(len(description.unread)))
            case UnixRecord():
                yield SocketSummary(fd, "unix", _unix_name(description.name), _peer(description), _unix(description))
            case NetlinkRecord():
                yield SocketSummary(fd, "netlink", f"port {description.port}", "", f"protocol {description.protocol}")
            case PacketRecord():
                device = description.device.decode(errors="replace") or "*"
                yield SocketSummary(fd, "packet", device, "", f"protocol {description.protocol.hex()}")


def _unix_name(name: bytes | None) -> str:
    return shown_name(name).removeprefix("unix socket ") if name else ""


def _peer(record: UnixRecord) -> str:
    """The other end, by its name if it has one, else by the number that it had as ss(8) shows it."""
    return _unix_name(record.peer_name) or (f"socket {record.peer}" if record.peer else "")


def _unix(record: UnixRecord) -> str:
    state = {_LISTEN: "listening", _ESTABLISHED: "connected"}.get(record.state, "")
    unread = sum(len(message.data) for message in record.messages)
    waiting = f"{len(record.waiting)} waiting" if record.waiting else ""
    return ", ".join(word for word in (state, waiting, f"{unread} bytes unread" if unread else "") if word)


# IPPROTO_* of datagram sockets (include/uapi/linux/in.h, in6.h).
_PROTOCOLS = {1: "ping", 17: "udp", 58: "ping", 136: "udplite"}


def _protocol(number: int) -> str:
    return _PROTOCOLS.get(number, f"protocol {number}")


def _address(address: bytes) -> str:
    return show_address(address) if address else ""


def _unread(number: int) -> str:
    return f"{number} unread" if number else ""


def _descriptors(record: ProcessRecord, snapshot: Snapshot) -> Iterator[tuple[int, DescriptionRecord]]:
    if record.threads:
        for descriptor in snapshot.files.tables[record.threads[0].files].descriptors:
            yield descriptor.fd, snapshot.files.descriptions[descriptor.description]
