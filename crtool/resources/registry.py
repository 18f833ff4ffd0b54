"""The table of contents: what belongs to each process and to each thread, apart from files and memory.

The only module that knows all task resources. It says what is asked of a frozen task, and in which order things are
given to a restored one; the reasons for that order stand in the resources' own docstrings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from crtool.abi.signals import SIGALRM
from crtool.procfs.status import Status
from crtool.puppet.batch import Batch
from crtool.puppet.hold import HeldProcess, HeldThread
from crtool.puppet.puppet import Puppet
from crtool.resources import altstack, cleartid, itimers, pdeath, robust, rseq, sigaction, sigpending, subreaper
from crtool.resources.altstack import AltstackRecord
from crtool.resources.itimers import ItimerRecord
from crtool.resources.robust import RobustRecord
from crtool.resources.rseq import RseqRecord
from crtool.resources.sigaction import SigactionRecord
from crtool.resources.sigpending import PendingRecord
from crtool.resources.timers import posix
from crtool.resources.timers.posix import PosixTimerRecord

__all__ = ["ProcessState", "ThreadState", "dump_process", "dump_thread", "restore_process", "restore_rights", "restore_thread"]


@dataclass(frozen=True)
class ProcessState:
    """What a process has."""

    subreaper: bool
    actions: tuple[SigactionRecord, ...]
    pending: PendingRecord
    itimers: tuple[ItimerRecord, ...]
    timers: tuple[PosixTimerRecord, ...]


@dataclass(frozen=True)
class ThreadState:
    """What a thread has."""

    rseq: RseqRecord | None
    robust: RobustRecord | None
    clear_tid: int
    altstack: AltstackRecord | None
    pending: PendingRecord
    parent_death_signal: int


def dump_process(process: HeldProcess, status: Status, batch: Batch) -> Callable[[], ProcessState]:
    """Adds the questions for the process to *batch*, which any of its threads may run. *status*: of the process."""
    is_subreaper = subreaper.dump(process, batch)
    actions = sigaction.dump(process, batch)
    interval_timers = itimers.dump(process, batch)
    timers = posix.dump(process, batch)

    def record() -> ProcessState:
        return ProcessState(
            subreaper=is_subreaper(),
            actions=actions(),
            pending=sigpending.dump(process, status),
            itimers=interval_timers(),
            timers=timers(),
        )

    return record


def dump_thread(
    process: HeldProcess, thread: HeldThread, status: Status, batch: Batch
) -> Callable[[], ThreadState]:
    """Adds the questions for one thread to *batch*, which that thread has to run. *status*: of the thread."""
    clear_tid = cleartid.dump(process, thread, batch)
    alternate = altstack.dump(process, thread, batch)
    parent_death = pdeath.dump(process, thread, batch)

    def record() -> ThreadState:
        return ThreadState(
            rseq=rseq.dump(thread),
            robust=robust.dump(thread),
            clear_tid=clear_tid(),
            altstack=alternate(),
            pending=sigpending.dump_thread(thread, status),
            parent_death_signal=parent_death(),
        )

    return record


def restore_thread(batch: Batch, state: ThreadState) -> None:
    """Adds the calls that give one thread what it had, but for what takes rights away; it makes them itself."""
    rseq.restore(batch, state.rseq)
    robust.restore(batch, state.robust)
    cleartid.restore(batch, state.clear_tid)
    altstack.restore(batch, state.altstack)


def restore_process(state: ProcessState, threads: Mapping[int, tuple[Puppet, ThreadState]]) -> tuple[str, ...]:
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
    for puppet, thread in threads.values():
        batch = Batch()
        sigpending.restore_thread(batch, thread.pending, timers.expire)
        if len(batch):
            puppet.run(batch)
    batch = Batch()
    itimers.restore(batch, state.itimers, alarm_pending=sigpending.is_pending(state.pending, SIGALRM))
    timers.start(batch)
    main.run(batch)
    return timers.warnings


def restore_rights(batch: Batch, state: ThreadState) -> None:
    """Adds the calls by which a thread gives up what it may not do, and what has to follow that."""
    pdeath.restore(batch, state.parent_death_signal)
