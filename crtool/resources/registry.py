"""The table of contents: what belongs to each process and to each thread, apart from files and memory.

The only module that knows all task resources. It says what is asked of a frozen task, and in which order things are
given to a restored one; the reasons for that order stand in the resources' own docstrings.

Most of what a program has is what it was born with. So the restoring functions are also told the state with which
puppets are *born*, and make no call for what is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from crtool.abi.signals import SIGALRM
from crtool.errors import Obstacle
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.procfs.status import Status
from crtool.puppet.batch import Batch
from crtool.puppet.puppet import Puppet
from crtool.puppet.thread import HeldThread
from crtool.record import dataclass
from crtool.resources import altstack as alternate_stack
from crtool.resources import (
    cgroups,
    coredump,
    credentials,
    itimers,
    limits,
    mempolicy,
    oom,
    pdeath,
    personality,
    prctl,
    robust,
    rseq,
    scheduling,
    seccomp,
    sigaction,
    sigpending,
    subreaper,
)
from crtool.resources import cleartid as clear_tid_word
from crtool.resources.altstack import AltstackRecord
from crtool.resources.cgroups import CgroupsRecord
from crtool.resources.coredump import CoredumpRecord
from crtool.resources.credentials import CredentialsRecord
from crtool.resources.itimers import ItimerRecord
from crtool.resources.limits import LimitsRecord
from crtool.resources.mempolicy import MempolicyRecord
from crtool.resources.oom import OomRecord
from crtool.resources.personality import PersonalityRecord
from crtool.resources.prctl import AddressSpaceFlagsRecord, ThreadFlagsRecord
from crtool.resources.robust import RobustRecord
from crtool.resources.rseq import RseqRecord
from crtool.resources.scheduling import SchedulingRecord
from crtool.resources.seccomp import SeccompRecord
from crtool.resources.sigaction import SigactionRecord
from crtool.resources.sigpending import PendingRecord
from crtool.resources.timers import posix
from crtool.resources.timers.posix import PosixTimerRecord

if TYPE_CHECKING:
    from crtool.puppet.birth import Newborn
    from crtool.puppet.hold import HeldProcess

__all__ = [
    "Born",
    "ProcessState",
    "ThreadState",
    "born",
    "dump_process",
    "dump_thread",
    "losses",
    "needs_suspension",
    "obstacle",
    "restore_from_outside",
    "restore_last",
    "restore_process",
    "restore_quietly",
    "restore_rights",
    "restore_thread",
    "restore_thread_from_outside",
]


@dataclass(frozen=True)
class ProcessState:
    """What a process has."""

    subreaper: bool
    actions: tuple[SigactionRecord, ...]
    pending: PendingRecord
    itimers: tuple[ItimerRecord, ...]
    timers: tuple[PosixTimerRecord, ...]
    settings: ProcessSettings


@dataclass(frozen=True)
class ProcessSettings:
    """That part of what a process has that is inherited, so that newborns have some of it too."""

    limits: LimitsRecord
    oom: OomRecord
    coredump: CoredumpRecord
    flags: AddressSpaceFlagsRecord
    cgroups: CgroupsRecord


@dataclass(frozen=True)
class ThreadState:
    """What a thread has."""

    rseq: RseqRecord | None
    robust: RobustRecord | None
    clear_tid: int
    altstack: AltstackRecord | None
    pending: PendingRecord
    parent_death_signal: int
    settings: ThreadSettings


@dataclass(frozen=True)
class ThreadSettings:
    """That part of what a thread has that is inherited, so that newborns have some of it too."""

    personality: PersonalityRecord
    flags: ThreadFlagsRecord
    mempolicy: MempolicyRecord
    scheduling: SchedulingRecord
    credentials: CredentialsRecord
    seccomp: SeccompRecord


@dataclass(frozen=True)
class Born:
    """The settings of a newborn process and its one thread."""

    process: ProcessSettings
    thread: ThreadSettings


def born(puppet: Puppet) -> Born:
    """The settings of a newborn; all that are born from it in turn have the same."""
    status = status_file.later(read(puppet.pid, "status"))
    batch = Batch()
    process = _dump_process_settings(puppet.pid, batch)
    thread = _dump_thread_settings(puppet.pid, status, batch)
    puppet.run(batch)
    return Born(process(), thread())


# -- asking -----------------------------------------------------------------------------------------------


def dump_process(process: HeldProcess, status: Status, batch: Batch) -> Callable[[], Callable[[], ProcessState]]:
    """Adds the questions for the process to *batch*, which any of its threads may run. *status*: of the process.

    What is returned asks what is left, when the batch has run, and returns who makes the record of it: that has time
    until the process goes on.
    """
    is_subreaper = subreaper.dump(process, batch)
    actions = sigaction.dump(process, batch)
    interval_timers = itimers.dump(process, batch)
    timers = posix.dump(process, batch)
    settings = _dump_process_settings(process.door, batch)

    def ask() -> Callable[[], ProcessState]:
        pending = sigpending.dump(process, status)
        return lambda: ProcessState(
            subreaper=is_subreaper(),
            actions=actions(),
            pending=pending,
            itimers=interval_timers(),
            timers=timers(),
            settings=settings(),
        )

    return ask


def _dump_process_settings(pid: int, batch: Batch) -> Callable[[], ProcessSettings]:
    core = coredump.dump(pid, batch)
    flags = prctl.dump_process(batch)
    resources, badness, groups = limits.dump(pid), oom.dump(pid), cgroups.dump(pid)
    return lambda: ProcessSettings(resources, badness, core(), flags(), groups)


def dump_thread(process: HeldProcess, thread: HeldThread, batch: Batch) -> Callable[[], Callable[[], ThreadState]]:
    """Adds the questions for one thread to *batch*, which that thread has to run. Returns what :func:`dump_process`
    does.
    """
    status = process.statuses[thread.tid]
    clear_tid = clear_tid_word.dump(process, thread, batch)
    altstack = alternate_stack.dump(process, thread, batch)
    parent_death = pdeath.dump(process, thread, batch)
    settings = _dump_thread_settings(thread.tid, status, batch)

    def ask() -> Callable[[], ThreadState]:
        futexes, pending = robust.dump(thread), sigpending.dump_thread(thread, status)
        return lambda: ThreadState(
            rseq=rseq.dump(thread),
            robust=futexes,
            clear_tid=clear_tid(),
            altstack=altstack(),
            pending=pending,
            parent_death_signal=parent_death(),
            settings=settings(),
        )

    return ask


def _dump_thread_settings(tid: int, status: Status, batch: Batch) -> Callable[[], ThreadSettings]:
    flags = prctl.dump_thread(tid, status, batch)
    policy = mempolicy.dump(status, batch)
    identity = credentials.dump(status, batch)
    persona, schedule, filters = personality.dump(tid), scheduling.ask(tid), seccomp.dump(tid, status)
    return lambda: ThreadSettings(persona, flags(), policy(), schedule(), identity(), filters)


def obstacle(pid: int, tid: int, state: ThreadState) -> Obstacle | None:
    """Why a thread with *state* cannot be saved, if so."""
    return seccomp.obstacle(pid, tid, state.settings.seccomp)


def losses(process: ProcessState, threads: Iterator[ThreadState], here: Born) -> Iterator[str]:
    """Warnings about what cannot be given back on this machine."""
    yield from coredump.lost(process.settings.coredump)
    for thread in threads:
        yield from prctl.lost_of_thread(thread.settings.flags, here.thread.flags)
        yield from mempolicy.lost(thread.settings.mempolicy, here.thread.mempolicy)
        yield from seccomp.surplus(thread.settings.seccomp, here.thread.seccomp)


# -- giving back --------------------------------------------------------------------------------------------


def restore_thread(batch: Batch, state: ThreadState, here: Born) -> None:
    """Adds the calls that give one thread what it had, but for what takes rights away; it makes them itself."""
    settings = state.settings
    personality.restore(batch, settings.personality, here.thread.personality)
    prctl.restore_thread(batch, settings.flags, here.thread.flags)
    mempolicy.restore(batch, settings.mempolicy, here.thread.mempolicy)
    rseq.restore(batch, state.rseq)
    robust.restore(batch, state.robust)
    clear_tid_word.restore(batch, state.clear_tid)
    alternate_stack.restore(batch, state.altstack)


def restore_process(
    state: ProcessState, threads: Mapping[int, tuple[Puppet, ThreadState]], here: Born
) -> tuple[str, ...]:
    """Gives a process what it had, when all its *threads* (by TID) have theirs; returns warnings.

    Everything that can send a signal to it has happened.
    """
    main = next(iter(threads.values()))[0]
    batch = Batch()
    sigpending.flush(batch)
    main.run(batch)
    pending = [state.pending, *(thread.pending for _, thread in threads.values())]
    puppets = {tid: puppet for tid, (puppet, _) in threads.items()}
    timers = posix.restore(main, puppets, state.timers, sigpending.timer_ids(pending))
    batch = Batch()
    sigaction.restore(batch, state.actions)
    sigpending.restore(batch, state.pending, timers.expire)
    main.run(batch)
    # Before the threads' own signals: SIGALRM may have to be ignored for a moment.
    batch = Batch()
    itimers.restore(batch, state.itimers, alarm_pending=sigpending.is_pending(state.pending, SIGALRM))
    if len(batch):
        main.run(batch)
    for puppet, thread in threads.values():
        batch = Batch()
        sigpending.restore_thread(batch, thread.pending, timers.expire)
        if len(batch):
            puppet.run(batch)
    batch = Batch()
    timers.start(batch)
    prctl.restore_process(batch, state.settings.flags, here.process.flags)
    limits.restore(batch, state.settings.limits, here.process.limits, here.thread.credentials.effective)
    main.run(batch)
    return timers.warnings


def restore_quietly(puppet: Newborn, thread: ThreadState, process: ProcessState | None) -> None:
    """Gives one thread, *puppet*, what the trap at the end of each batch would disturb, when it will run none any more;
    its *process* with one of them.
    """
    if process is not None:
        sigaction.restore_trap(puppet, process.actions)
    sigpending.restore_quietly(puppet, thread.pending, None if process is None else process.pending)


def restore_from_outside(pid: int, state: ProcessState, here: Born) -> None:
    """Sets what crtool itself can set, before the process gives up any right."""
    coredump.restore_from_outside(pid, state.settings.coredump, here.process.coredump)
    oom.restore_from_outside(pid, state.settings.oom, here.process.oom)


def needs_suspension(state: ThreadState) -> bool:
    """Whether the thread's tracer has to suspend seccomp before :func:`restore_rights`."""
    return seccomp.needs_suspension(state.settings.seccomp)


def restore_rights(batch: Batch, state: ThreadState, here: Born) -> None:
    """Adds the calls by which a thread gives up what it may not do, and what has to follow that."""
    settings = state.settings
    seccomp.restore(batch, settings.seccomp, here.thread.seccomp, here.thread.credentials.effective)
    credentials.restore(batch, settings.credentials, here.thread.credentials)
    pdeath.restore(batch, state.parent_death_signal)


def restore_last(batch: Batch, state: ProcessState) -> None:
    """Adds the calls that the process makes when all its threads have their credentials."""
    coredump.restore(batch, state.settings.coredump)


def restore_thread_from_outside(tid: int, state: ThreadState, here: Born) -> tuple[str, ...]:
    """Sets what crtool itself can set, when the thread has no more calls to make; returns warnings."""
    return scheduling.restore_from_outside(tid, state.settings.scheduling, here.thread.scheduling)
