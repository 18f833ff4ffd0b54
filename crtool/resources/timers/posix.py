"""POSIX timers (timer_create(2)).

The kernel keeps for each timer of a process its ID, clock, notification, interval, time left, and two counts of missed
expirations: one of the last signal that was delivered (timer_getoverrun(2)), and one, which nobody can ask for, of the
signal that is pending.

We read what a timer is in /proc/PID/timers, and how it stands by timer_gettime and timer_getoverrun, made by the
process.

We rebuild it with its ID. *Order:* :func:`restore` once all threads of the process are there, the pending signals are
flushed and all signals are blocked; it gives what is to be called at the place of a pending expiration among the queued
signals, and what starts the other timers, after them.

Lost: overruns of a signal that is still pending, from before the checkpoint; whether a timer was set to an absolute
time (it goes on with the time left); which thread's CPU time is measured, if another made the timer than it signals. A
signal whose timer was deleted or set anew since is dropped, as the kernel does (since 6.13) when it comes to deliver
it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from crtool.abi.time import ITIMERSPEC, NSEC_PER_SEC, SIGEV_NONE, SIGEV_THREAD_ID, TIMER_ABSTIME, TIMESPEC
from crtool.procfs.read import read
from crtool.procfs.timers import Timer, parse
from crtool.puppet.batch import Batch, Buffer, Call
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass
from crtool.resources.timers import overruns
from crtool.resources.timers.create import NewTimer, create_all

if TYPE_CHECKING:
    from crtool.puppet.hold import HeldProcess

__all__ = ["PosixTimerRecord", "RestoredTimers", "dump", "restore"]

_WAIT_FOR_EXPIRY = 100_000_000  # ns that a restart waits at most for a timer to expire by itself
_NOTICED = 50_000  # ns in which the kernel sees to an expired timer


@dataclass(frozen=True)
class PosixTimerRecord:
    """One timer; times in nanoseconds."""

    id: int
    clock: int  # CLOCK_*; negative for a CPU clock, with a PID or TID as the program sees it
    notify: int  # SIGEV_*
    signal: int
    value: int  # sigev_value, as 64 bits
    target: int  # TID of the thread that is signalled (SIGEV_THREAD_ID), as crtool sees it; else 0
    interval: int  # 0 for a timer that expires once
    left: int  # 0 for a timer that is off, or has expired for the only time
    overrun: int  # what timer_getoverrun(2) says

    @property
    def periodic(self) -> bool:
        """Whether it runs in its period: not for the first time, or as if."""
        return 0 < self.left <= self.interval


@dataclass(frozen=True)
class RestoredTimers:
    """What is left to do for the timers of a process."""

    expire: dict[int, Callable[[Batch], None]]  # by ID: adds the calls after which the timer's signal is pending
    start: Callable[[Batch], None]  # adds the calls that start the timers that run and have no signal pending
    warnings: tuple[str, ...]


def dump(process: HeldProcess, batch: Batch) -> Callable[[], tuple[PosixTimerRecord, ...]]:
    """Adds the questions.

    Time goes on meanwhile, so read the pending signals before and after, until both are the same: a timer that
    expires in between would be seen twice, or not at all.
    """
    timers = sorted(parse(read(process.pid, "timers")), key=lambda timer: timer.id)
    asked: list[tuple[Timer, Buffer, Call]] = []
    for timer in timers:
        setting = batch.buffer(ITIMERSPEC.size)
        batch.call("timer_gettime", timer.id, setting, label=f"timer {timer.id}")
        asked.append((timer, setting, batch.call("timer_getoverrun", timer.id, label=f"timer {timer.id}")))
    return lambda: tuple(_record(timer, setting.read(), overrun.value) for timer, setting, overrun in asked)


def _record(timer: Timer, setting: bytes, overrun: int) -> PosixTimerRecord:
    interval, interval_ns, left, left_ns = ITIMERSPEC.unpack(setting)
    return PosixTimerRecord(
        id=timer.id,
        clock=timer.clockid,
        notify=timer.sigev_notify,
        signal=timer.signal,
        value=timer.value,
        target=timer.target if timer.to_thread else 0,
        interval=interval * NSEC_PER_SEC + interval_ns,
        left=left * NSEC_PER_SEC + left_ns,
        overrun=overrun,
    )


def restore(
    main: Puppet, threads: Mapping[int, Puppet], records: Sequence[PosixTimerRecord], pending: Collection[int]
) -> RestoredTimers:
    """Makes the timers of a process, and gives them their overruns; those that have none are still off.

    *main* may be any thread; *threads*: all of them, by TID in the image; *pending*: IDs of timers with a signal in a
    queue of the image. Raises EnvironmentDiffers where a timer cannot be had here.
    """
    warnings: list[str] = []

    def warn(record: PosixTimerRecord, what: str) -> None:
        warnings.append(f"PID {main.pid}: timer {record.id} {what}")

    dead = [record for record in records if record.notify & SIGEV_THREAD_ID and record.target not in threads]
    for record in dead:
        warn(record, "signalled a thread that has ended; it will signal nobody")
    # A timer that signals a thread is made by it, so that "own CPU time" most likely means the right thread.
    owners = {record.id: threads.get(record.target, main) for record in records}
    create_all(main, [(owners[record.id], _new(record, threads)) for record in records])

    counted = [
        overruns.Wanted(record.id, record.clock, record.signal, record.interval, record.left, record.overrun)
        for record in records
        if record.periodic and record.overrun and record not in dead
        # Setting a timer would lose the overruns; one with a pending signal has to expire by itself.
        if record.id not in pending or record.left <= _WAIT_FOR_EXPIRY
    ]
    reached = overruns.restore(owners, counted)
    expire: dict[int, Callable[[Batch], None]] = {}
    start: list[PosixTimerRecord] = []
    for record in records:
        running = record.id in reached
        if record.overrun and not running and record not in dead:
            warn(record, f"starts with 0 overruns instead of {record.overrun}")
        if record.id in pending and (record.periodic or not record.left):
            expire[record.id] = _expiration(owners[record.id], record, running=running)
        elif record.left and not running:
            start.append(record)

    def start_all(batch: Batch) -> None:
        for record in start:
            _set(batch, record, 0, record.left)

    return RestoredTimers(expire, start_all, tuple(warnings))


def _new(record: PosixTimerRecord, threads: Mapping[int, Puppet]) -> NewTimer:
    notify, thread = record.notify, 0
    if notify & SIGEV_THREAD_ID:
        if record.target in threads:
            thread = threads[record.target].call("gettid").value
        else:
            notify = SIGEV_NONE
    return NewTimer(record.id, record.clock, record.value, record.signal, notify, thread)


def _expiration(owner: Puppet, record: PosixTimerRecord, *, running: bool) -> Callable[[Batch], None]:
    """How the timer gets its signal into the queue."""
    if running:
        return partial(_pause, max(record.left, overruns.LATEST) + _NOTICED)
    if not record.interval:
        return partial(_expire, record, 1)
    now = overruns.clocks({record.id: owner}, {record.id: record.clock})[record.id]
    return partial(_expire, record, max(1, now + record.left - record.interval))


def _set(batch: Batch, record: PosixTimerRecord, flags: int, value: int) -> None:
    numbers = (*divmod(record.interval, NSEC_PER_SEC), *divmod(value, NSEC_PER_SEC))
    batch.call("timer_settime", record.id, flags, ITIMERSPEC.pack(*numbers), 0, label=f"timer {record.id}")


def _pause(ns: int, batch: Batch) -> None:
    pause = batch.data(TIMESPEC.pack(*divmod(ns, NSEC_PER_SEC)))
    batch.call("nanosleep", pause, 0, label="until the timer has expired")


def _expire(record: PosixTimerRecord, first: int, batch: Batch) -> None:
    _set(batch, record, TIMER_ABSTIME, first)
    # The clock's interrupt comes at once, but nothing promises that it comes before the next call.
    _pause(_NOTICED, batch)
