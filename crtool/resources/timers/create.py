"""Making POSIX timers with the IDs of our choice.

Since 6.15 a process can ask for that (PR_TIMER_CREATE_RESTORE_IDS). Before, each process counts its timers from 0 on,
so that unwanted ones are made and deleted until the next ID is the one that is wanted.

Refused, as EnvironmentDiffers: an ID that counting does not reach, an alarm clock without CAP_WAKE_ALARM or a real-time
clock device, more timers than RLIMIT_SIGPENDING allows, the CPU clock of a process that is not here.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from itertools import groupby

from crtool.abi import prctl
from crtool.abi.time import CLOCK_BOOTTIME_ALARM, CLOCK_REALTIME_ALARM, SIGEVENT
from crtool.errors import EnvironmentDiffers, InternalError
from crtool.puppet.batch import Batch, Buffer, Call
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass

__all__ = ["NewTimer", "create_all"]

_COUNT_AT_ONCE = 1000  # timers that one batch makes and deletes: a batch costs memory for each call
_COUNT_AT_MOST = 200_000  # IDs that are worth counting through: about two seconds
_ALARM_CLOCKS = (CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM)


@dataclass(frozen=True)
class NewTimer:
    """What timer_create(2) is told."""

    id: int
    clock: int
    value: int  # sigev_value
    signal: int
    notify: int
    thread: int  # sigev_notify_thread_id

    @property
    def sigevent(self) -> bytes:
        """struct sigevent."""
        return SIGEVENT.pack(self.value, self.signal, self.notify, self.thread)


def create_all(main: Puppet, timers: Sequence[tuple[Puppet, NewTimer]]) -> None:
    """Makes *timers*, each by its puppet, in ascending order of their IDs; *main* is any thread of the process."""
    ordered = sorted(timers, key=lambda pair: pair[1].id)
    if not ordered:
        return
    if _choosing(main, prctl.PR_TIMER_CREATE_RESTORE_IDS_ON):
        for puppet, group in groupby(ordered, key=lambda pair: pair[0]):
            _create_chosen(puppet, [timer for _, timer in group])
        _choosing(main, prctl.PR_TIMER_CREATE_RESTORE_IDS_OFF)
    else:
        for puppet, timer in ordered:
            _create_counting(puppet, timer)


def _choosing(puppet: Puppet, switch: int) -> bool:
    """Turns the choice of IDs on or off; False if the kernel does not offer it."""
    return puppet.call("prctl", prctl.PR_TIMER_CREATE_RESTORE_IDS, switch, 0, 0, 0, must=False).ok


def _create_chosen(puppet: Puppet, timers: Sequence[NewTimer]) -> None:
    batch = Batch()
    calls = [_create(batch, timer, timer.id)[0] for timer in timers]
    puppet.run(batch)
    for timer, call in zip(timers, calls, strict=True):
        _judge(puppet, timer, call)


def _create(batch: Batch, timer: NewTimer, identity: int) -> tuple[Call, Buffer]:
    into = batch.data(identity.to_bytes(4, "little"))
    call = batch.call("timer_create", timer.clock, timer.sigevent, into, must=False, label=f"timer {timer.id}")
    return call, into


def _create_counting(puppet: Puppet, timer: NewTimer) -> None:
    while (got := _create_next(puppet, timer)) != timer.id:
        if not 0 <= timer.id - got <= _COUNT_AT_MOST:
            raise EnvironmentDiffers(
                f"PID {puppet.pid}: timer ID {timer.id} cannot be had on this kernel, which counts and stands at {got}",
                "use a kernel with PR_TIMER_CREATE_RESTORE_IDS (since 6.15)",
            )
        batch = Batch()
        batch.call("timer_delete", got)
        event, into = batch.data(timer.sigevent), batch.buffer(4)
        for passed in range(got + 1, min(timer.id, got + 1 + _COUNT_AT_ONCE)):
            batch.call("timer_create", timer.clock, event, into, label=f"timer {timer.id}, counting")
            batch.call("timer_delete", passed, label="counting")
        puppet.run(batch)


def _create_next(puppet: Puppet, timer: NewTimer) -> int:
    batch = Batch()
    call, into = _create(batch, timer, 0)
    puppet.run(batch)
    _judge(puppet, timer, call)
    return int.from_bytes(into.read(), "little", signed=True)


def _judge(puppet: Puppet, timer: NewTimer, call: Call) -> None:
    """Says why a timer could not be made."""
    if call.ok:
        return
    what, number = f"PID {puppet.pid}: timer {timer.id}", call.errno
    if number == errno.EPERM and timer.clock in _ALARM_CLOCKS:
        raise EnvironmentDiffers(f"{what} wakes the machine, which takes CAP_WAKE_ALARM", "run crtool as root")
    if number == errno.EOPNOTSUPP and timer.clock in _ALARM_CLOCKS:
        raise EnvironmentDiffers(
            f"{what} wakes the machine, which has no clock for that", "restart it on a machine with a real-time clock"
        )
    if number == errno.EAGAIN:
        raise EnvironmentDiffers(
            f"{what} is one more than the limit of pending signals and timers allows",
            "raise RLIMIT_SIGPENDING (ulimit -i)",
        )
    if number == errno.EINVAL and timer.clock < 0:
        raise EnvironmentDiffers(
            f"{what} measures the CPU time of a process that is not here (clock {timer.clock})",
            "start that process first",
        )
    raise InternalError(f"{what} (clock {timer.clock}) could not be made: {errno.errorcode.get(number, number)}")
