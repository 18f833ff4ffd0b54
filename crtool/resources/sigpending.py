"""Signals that were sent and not yet delivered (signal(7), "Queueing and delivery").

The kernel keeps, for the process and for each thread, a set of pending signals and a queue of their siginfo. A
standard signal is queued once, a real-time signal as often as it was sent. Where memory or RLIMIT_SIGPENDING
did not allow a queue entry, the signal is in the set alone.

We read the sets in /proc (SigPnd, ShdPnd) and peek into the queues by ptrace (PTRACE_PEEKSIGINFO).

We rebuild them by rt_sigqueueinfo(2) and rt_tgsigqueueinfo(2), in the order of the queue. The task sends to itself:
so any si_code is allowed, and siginfo arrives as it was. A signal without an entry is queued as what the kernel would
have delivered for it. SIGSTOP cannot be blocked and is sent from outside. *Order:* after the actions (ignoring a signal
drops it), after the last birth and death (they send SIGCHLD, which :func:`flush` drops), with all signals blocked.
Those that a fault may have brought about come when no batch is run any more (:func:`restore_quietly`): the trap at the
end of one would take them off the queue.

The entry of a POSIX timer belongs to the timer: it is made by letting the timer expire at its place in the queue. The
caller brings the two together: :func:`timer_ids`, and *expire* of the restoring half. Lost: the entry of a timer that
no longer exists or was set anew since; the kernel would not deliver it either (since 6.13).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from crtool.abi.signals import (
    ALL_SIGNALS,
    SI_TIMER,
    SI_USER,
    SIGINFO_SIZE,
    SIGINFO_TIMER_ID,
    SIGKILL,
    SIGRTMIN,
    SIGSTOP,
    SIGTRAP,
    SYNCHRONOUS,
    UNBLOCKABLE,
    bit,
)
from crtool.abi.time import TIMESPEC
from crtool.kernel import ptrace
from crtool.kernel.process import tgkill
from crtool.procfs.status import Status
from crtool.puppet.batch import Batch, Call
from crtool.puppet.thread import HeldThread
from crtool.record import dataclass

if TYPE_CHECKING:
    from crtool.puppet.birth import Newborn
    from crtool.puppet.hold import HeldProcess

__all__ = [
    "PendingRecord",
    "dump",
    "dump_thread",
    "flush",
    "is_pending",
    "restore",
    "restore_from_outside",
    "restore_quietly",
    "restore_thread",
    "restore_thread_from_outside",
    "timer_ids",
]

_SIGSET_SIZE = 8
_TRAP = frozenset({SIGTRAP})

Expire = Mapping[int, Callable[[Batch], None]]


@dataclass(frozen=True)
class PendingRecord:
    """The pending signals of a process, or those of one thread."""

    queue: tuple[bytes, ...]  # siginfo_t without the zero bytes at its end, oldest first
    bare: int  # signals that are pending without a queue entry; bit n−1 is signal n


def dump(process: HeldProcess, status: Status) -> PendingRecord:
    """What is pending for the process as a whole.

    *status* must have been read while the process was frozen, and before this: a signal that is sent in
    between is then seen with its entry.
    """
    tid = next(iter(process.threads))
    record = _record(ptrace.queued_signals(tid, shared=True), status.shared_pending)
    # A SIGSTOP that came while a thread made calls for crtool was kept back, and is nowhere pending.
    if any(thread.stop_signals for thread in process.threads.values()):
        return PendingRecord(record.queue, record.bare | bit(SIGSTOP))
    return record


def dump_thread(thread: HeldThread, status: Status) -> PendingRecord:
    """What is pending for *thread* alone; *status* is that of the thread, read as for :func:`dump`."""
    return _record(ptrace.queued_signals(thread.tid, shared=False), status.pending)


def _record(queue: tuple[bytes, ...], pending: int) -> PendingRecord:
    queued = 0
    for info in queue:
        queued |= bit(_signal_of(info))
    return PendingRecord(tuple(info.rstrip(b"\0") for info in queue), pending & ~queued & ~bit(SIGKILL))


def _signal_of(info: bytes) -> int:
    return int.from_bytes(info[:4], "little")


def is_pending(record: PendingRecord, signal: int) -> bool:
    """Whether *signal* is pending in *record*, with an entry or without."""
    return bool(record.bare & bit(signal)) or any(_signal_of(info) == signal for info in record.queue)


def timer_ids(records: Iterable[PendingRecord]) -> frozenset[int]:
    """The IDs of the POSIX timers that have an entry in one of the queues of a process."""
    found = (_timer_of(info) for record in records for info in record.queue)
    return frozenset(identity for identity in found if identity is not None)


def _timer_of(info: bytes) -> int | None:
    whole = info.ljust(SIGINFO_SIZE, b"\0")
    if int.from_bytes(whole[8:12], "little", signed=True) != SI_TIMER:
        return None
    return int.from_bytes(whole[SIGINFO_TIMER_ID : SIGINFO_TIMER_ID + 4], "little", signed=True)


def flush(batch: Batch) -> None:
    """Drops what births and deaths have sent to the process (SIGCHLD, say), so that the program never sees it.

    Standard signals only: the kernel sends no others by itself, and queues each of them once.
    """
    at_once = batch.data(bytes(TIMESPEC.size))
    everything = batch.data(ALL_SIGNALS.to_bytes(_SIGSET_SIZE, "little"))
    for _ in range(1, SIGRTMIN):
        batch.call("rt_sigtimedwait", everything, 0, at_once, _SIGSET_SIZE, must=False, label="flush")


def restore(batch: Batch, record: PendingRecord, expire: Expire) -> None:
    """Adds the calls, to be made by any one thread; *expire* adds those by which a timer, by its ID, expires."""
    if record.queue or record.bare:
        tid = batch.call("gettid")  # rt_sigqueueinfo takes the TID of any thread for its process
        _restore(batch, "rt_sigqueueinfo", (tid,), record, expire, _TRAP)


def restore_thread(batch: Batch, record: PendingRecord, expire: Expire) -> None:
    """Adds the calls, to be made by the thread itself; *expire* as in :func:`restore`."""
    if record.queue or record.bare:
        pid, tid = batch.call("getpid"), batch.call("gettid")
        _restore(batch, "rt_tgsigqueueinfo", (pid, tid), record, expire, SYNCHRONOUS)


def restore_quietly(puppet: Newborn, thread: PendingRecord, process: PendingRecord | None) -> None:
    """Sends what has been left out, to *puppet*, when it will run no batch any more, and for one thread to its
    *process*.
    """
    for info in _infos_of(thread):
        if (signal := _signal_of(info)) in SYNCHRONOUS and _timer_of(info) is None:
            pid, tid = puppet.call_quietly("getpid"), puppet.call_quietly("gettid")
            puppet.call_quietly("rt_tgsigqueueinfo", pid, tid, signal, info)
    for info in _infos_of(process) if process is not None else ():
        if (signal := _signal_of(info)) in _TRAP and _timer_of(info) is None:
            puppet.call_quietly("rt_sigqueueinfo", puppet.call_quietly("gettid"), signal, info)


def _restore(
    batch: Batch, call: str, to: tuple[Call, ...], record: PendingRecord, expire: Expire, later: frozenset[int]
) -> None:
    for info in _infos_of(record):
        signal, timer = _signal_of(info), _timer_of(info)
        if timer is not None:
            if timer in expire:
                expire[timer](batch)
        elif signal not in UNBLOCKABLE | later:
            batch.call(call, *to, signal, info, label=f"pending signal {signal}")


def _infos_of(record: PendingRecord) -> Iterator[bytes]:
    for short in (*record.queue, *_infos(record.bare)):
        yield short.ljust(SIGINFO_SIZE, b"\0")


def _infos(signals: int) -> list[bytes]:
    """What the kernel delivers for pending signals of which it has no siginfo: collect_signal() in kernel/signal.c."""
    numbers = [number for number in range(1, 65) if signals & bit(number)]
    code = SI_USER.to_bytes(4, "little", signed=True)
    return [number.to_bytes(4, "little") + bytes(4) + code for number in numbers]


def restore_from_outside(pid: int, record: PendingRecord) -> None:
    """Sends what cannot be blocked.

    *Order:* the very last, when no thread of the process runs again before its release.
    """
    if is_pending(record, SIGSTOP):
        os.kill(pid, SIGSTOP)


def restore_thread_from_outside(pid: int, tid: int, record: PendingRecord) -> None:
    """As :func:`restore_from_outside`, for what was sent to one thread of *pid*."""
    if is_pending(record, SIGSTOP):
        tgkill(pid, tid, SIGSTOP)
