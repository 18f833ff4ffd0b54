"""How a thread is scheduled: policy, nice value, priority, deadlines, utilisation clamps, CPU affinity, I/O
priority.

The kernel keeps all of it for each thread (sched(7), ioprio_set(2)).

We ask the kernel about the thread by sched_getattr(2), getpriority(2), sched_getaffinity(2) and ioprio_get(2); none
of them needs the thread itself.

We rebuild it from outside, too, so that the privileges which count are crtool's own. Order needed: late, since a
batch run at SCHED_IDLE would take its time and a SCHED_DEADLINE thread cannot fork; after credentials is fine.

Lost are CPUs that do not exist here: the thread keeps those that do, or gets all if none is left, with a warning. A
thread that was free to run on all CPUs is so again, however many there are. Refused is what the kernel does not let
crtool set, mostly for lack of CAP_SYS_NICE. Core scheduling cookies (PR_SCHED_CORE) are not kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache

from crtool.abi import sched
from crtool.errors import EnvironmentDiffers
from crtool.kernel.process import ioprio_get, sched_getattr
from crtool.kernel.scheduling import ioprio_set, sched_setattr
from crtool.record import dataclass

__all__ = ["SchedulingRecord", "above", "ask", "dump", "restore_from_outside"]

_FLAGS = sched.SCHED_FLAG_RESET_ON_FORK | sched.SCHED_FLAG_RECLAIM | sched.SCHED_FLAG_DL_OVERRUN
_CLAMP_FLAGS = sched.SCHED_FLAG_UTIL_CLAMP_MIN | sched.SCHED_FLAG_UTIL_CLAMP_MAX
# The largest NR_CPUS of any configuration; the kernel takes those that exist and that the cpuset allows.
_EVERY_CPU = range(8192)
_REAL_TIME = (sched.SCHED_FIFO, sched.SCHED_RR, sched.SCHED_DEADLINE)
_IOPRIO_CLASS_RT = 1  # include/uapi/linux/ioprio.h


@dataclass(frozen=True)
class SchedulingRecord:
    """One thread."""

    policy: int  # SCHED_*
    flags: int  # SCHED_FLAG_RESET_ON_FORK, _RECLAIM, _DL_OVERRUN
    nice: int  # −20…19; also of a real-time thread, which takes it up again when it returns to SCHED_OTHER
    priority: int  # 1…99 for SCHED_FIFO and SCHED_RR, else 0
    runtime: int  # ns: SCHED_DEADLINE; of fair policies a time slice of its own (since 6.12), else 0
    deadline: int  # ns: SCHED_DEADLINE, else 0
    period: int  # ns: SCHED_DEADLINE, else 0
    util_min: int  # 0…1024; both clamps are 0 without them
    util_max: int
    cpus: tuple[int, ...]  # where it may run, ascending
    all_cpus: bool  # that was every CPU which was online
    ioprio: int  # class << 13 | level; 0 follows the nice value


def dump(tid: int) -> SchedulingRecord:
    """Asks the kernel about any thread."""
    return ask(tid)()


def ask(tid: int) -> Callable[[], SchedulingRecord]:
    """Asks the kernel about any thread; what is returned makes the record of it."""
    raw, cpus, ioprio = sched_getattr(tid), os.sched_getaffinity(tid), ioprio_get(tid)
    nice = os.getpriority(os.PRIO_PROCESS, tid)  # of a real-time thread, sched_getattr does not tell it

    def record() -> SchedulingRecord:
        attr = raw.ljust(sched.SCHED_ATTR.size, b"\0")
        _, policy, flags, _, priority, runtime, deadline, period, low, high = sched.SCHED_ATTR.unpack_from(attr)
        if policy != sched.SCHED_DEADLINE and runtime == _time_slice():
            runtime = 0
        return SchedulingRecord(
            policy=policy,
            flags=flags & _FLAGS,
            nice=nice,
            priority=priority,
            runtime=runtime,
            deadline=deadline,
            period=period,
            util_min=low,
            util_max=high,
            cpus=tuple(sorted(cpus)),
            all_cpus=len(cpus) >= _online(),
            ioprio=ioprio,
        )

    return record


@cache
def _online() -> int:
    """How many CPUs there are, as it was when this was asked first: reading it takes as long as all the rest."""
    return os.sysconf("SC_NPROCESSORS_ONLN")


def restore_from_outside(tid: int, record: SchedulingRecord, born: SchedulingRecord) -> tuple[str, ...]:
    """Gives thread *tid*, which has been born with *born*, what *record* says; returns warnings.

    EnvironmentDiffers if the kernel does not let crtool do it.
    """
    # The affinity first: that of a SCHED_DEADLINE thread can hardly be changed any more.
    warnings = _set_affinity(tid, record, born)
    try:
        if record.nice != born.nice:
            os.setpriority(os.PRIO_PROCESS, tid, record.nice)
        if _parameters(record) != _parameters(born) or _clamps(record, born):
            sched_setattr(tid, _packed(record, born))
        if record.ioprio != born.ioprio:
            ioprio_set(tid, record.ioprio)
    except PermissionError:
        raise EnvironmentDiffers(
            f"TID {tid} had {_shown(record)}, which the kernel does not allow here", "run crtool with CAP_SYS_NICE"
        ) from None
    except OSError as error:
        raise EnvironmentDiffers(
            f"TID {tid} had {_shown(record)}, which is not possible here: {error.strerror}"
        ) from None
    return warnings


def _set_affinity(tid: int, record: SchedulingRecord, born: SchedulingRecord) -> tuple[str, ...]:
    if record.all_cpus:
        if not born.all_cpus:
            os.sched_setaffinity(tid, _EVERY_CPU)
        return ()
    if record.cpus == born.cpus:
        return ()
    try:
        os.sched_setaffinity(tid, record.cpus)
    except OSError:  # none of them exists here, or the cpuset of crtool has none of them
        os.sched_setaffinity(tid, _EVERY_CPU)
    if gone := set(record.cpus) - os.sched_getaffinity(tid):
        left = "the others" if len(gone) < len(record.cpus) else "all CPUs instead"
        return (f"TID {tid} was bound to CPUs {', '.join(map(str, sorted(gone)))}, not usable here: it runs on {left}",)
    return ()


@cache
def _time_slice() -> int:
    """The time slice of crtool itself, in ns: the default of this machine, which grows with the number of its CPUs."""
    raw = sched_getattr(0).ljust(sched.SCHED_ATTR.size, b"\0")
    runtime: int = sched.SCHED_ATTR.unpack_from(raw)[5]
    return runtime


def _parameters(record: SchedulingRecord) -> tuple[int, ...]:
    """What sched_setattr(2) sets, but for the nice value and the clamps."""
    return (record.policy, record.flags, record.priority, record.runtime, record.deadline, record.period)


def _clamps(record: SchedulingRecord, born: SchedulingRecord) -> tuple[int, int] | None:
    """The utilisation clamps to be set; None if they are right or one of the two kernels has none."""
    wanted, here = (record.util_min, record.util_max), (born.util_min, born.util_max)
    return wanted if wanted != here and any(wanted) and any(here) else None


def _packed(record: SchedulingRecord, born: SchedulingRecord) -> bytes:
    clamps = _clamps(record, born)
    return sched.SCHED_ATTR.pack(
        sched.SCHED_ATTR.size,
        record.policy,
        record.flags | (_CLAMP_FLAGS if clamps else 0),
        record.nice,
        record.priority,
        record.runtime,
        record.deadline,
        record.period,
        *(clamps or (0, 0)),
    )


def above(record: SchedulingRecord, own: SchedulingRecord) -> Iterator[str]:
    """In what a thread would come before one with *own*, in words."""
    if record.policy in _REAL_TIME and (record.policy, record.priority) != (own.policy, own.priority):
        yield f"{_name(record)} priority {record.priority}" if record.priority else _name(record)
    if record.nice < own.nice:
        yield f"nice {record.nice}, that of crtool is {own.nice}"
    if record.ioprio >> 13 == _IOPRIO_CLASS_RT and record.ioprio != own.ioprio:
        yield f"real-time I/O priority {record.ioprio & 0x1FFF}"


def _shown(record: SchedulingRecord) -> str:
    rank = f" priority {record.priority}" if record.priority else f" nice {record.nice}"
    return f"{_name(record)}{rank}, I/O priority {record.ioprio >> 13}/{record.ioprio & 0x1FFF}"


def _name(record: SchedulingRecord) -> str:
    return {
        sched.SCHED_OTHER: "SCHED_OTHER",
        sched.SCHED_FIFO: "SCHED_FIFO",
        sched.SCHED_RR: "SCHED_RR",
        sched.SCHED_BATCH: "SCHED_BATCH",
        sched.SCHED_IDLE: "SCHED_IDLE",
        sched.SCHED_DEADLINE: "SCHED_DEADLINE",
    }.get(record.policy, f"scheduling policy {record.policy}")
