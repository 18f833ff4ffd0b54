"""What a program has told the kernel about itself by prctl(2), and what has no other home.

The kernel keeps for each thread its name, timer slack, whether it may read the time stamp counter, its wish for
memory errors (PR_MCE_KILL), whether it does I/O that frees memory (PR_SET_IO_FLUSHER) and its speculation controls;
for each address space, whether it wants huge pages (PR_SET_THP_DISABLE), same-page merging (PR_SET_MEMORY_MERGE) and
a ban on making writable memory executable (PR_SET_MDWE).

We read the name and the speculation lines of /proc/PID/task/TID/status; the rest is asked of the task.

We rebuild it by prctl(2), made by the thread itself, but only what differs from what it was born with. Order needed:
after memory (MDWE, merging); before credentials (PR_SET_IO_FLUSHER needs CAP_SYS_RESOURCE); of the process after
those of its threads; the timer slack before the policy, which fixes it at 0 for real-time threads.

Lost are, with a warning (:func:`lost_of_thread`), speculation controls that this machine does not have; silently, the
wish for PR_SPEC_L1D_FLUSH and the difference between PR_SPEC_DISABLE_NOEXEC and no control, which status does not
show, the I/O flusher flag of a thread that has since given up CAP_SYS_RESOURCE, and whom PR_SET_PTRACER allows, which
nobody can ask.
"""

from __future__ import annotations

from collections.abc import Callable

from crtool.abi import capability as cap
from crtool.abi import prctl as pr
from crtool.errors import EnvironmentDiffers
from crtool.procfs.status import Status
from crtool.puppet.batch import Batch
from crtool.record import dataclass

__all__ = [
    "AddressSpaceFlagsRecord",
    "ThreadFlagsRecord",
    "dump_process",
    "dump_thread",
    "lost_of_thread",
    "restore_process",
    "restore_thread",
]

# What proc_pid_status() in fs/proc/array.c writes for a task that can choose.
_STORE_BYPASS = {
    "thread vulnerable": pr.PR_SPEC_ENABLE,
    "thread mitigated": pr.PR_SPEC_DISABLE,
    "thread force mitigated": pr.PR_SPEC_FORCE_DISABLE,
}
_INDIRECT_BRANCH = {
    "conditional enabled": pr.PR_SPEC_ENABLE,
    "conditional disabled": pr.PR_SPEC_DISABLE,
    "conditional force disabled": pr.PR_SPEC_FORCE_DISABLE,
}


@dataclass(frozen=True)
class ThreadFlagsRecord:
    """One thread."""

    name: bytes  # Name of /proc/TID/status, at most 15 bytes
    timer_slack: int  # ns: PR_GET_TIMERSLACK; 0 for real-time threads
    tsc: int  # PR_GET_TSC: 1 may be read, 2 gives SIGSEGV; 0 where the CPU has no such switch
    mce_kill: int  # PR_MCE_KILL_GET: 0 late, 1 early, 2 as the system says
    io_flusher: bool  # PR_GET_IO_FLUSHER
    store_bypass: int  # PR_SPEC_ENABLE, PR_SPEC_DISABLE or PR_SPEC_FORCE_DISABLE; 0 for no control
    indirect_branch: int  # the same of indirect branches


@dataclass(frozen=True)
class AddressSpaceFlagsRecord:
    """One address space."""

    thp_disable: int  # PR_GET_THP_DISABLE: 0 off; 1 on; more bits are flags of PR_SET_THP_DISABLE (since 6.18)
    mdwe: int  # PR_GET_MDWE: PR_MDWE_* bits, since 6.3
    memory_merge: bool  # PR_GET_MEMORY_MERGE, since 6.4


def dump_thread(tid: int, status: Status, batch: Batch) -> Callable[[], ThreadFlagsRecord]:
    """Adds the questions that only thread *tid* of *status* can answer; *batch* is run by it."""
    tsc = batch.buffer(4)
    tsc_call = batch.call("prctl", pr.PR_GET_TSC, tsc, 0, 0, 0, must=False, label="time stamp counter")
    mce = batch.call("prctl", pr.PR_MCE_KILL_GET, 0, 0, 0, 0, must=False, label="memory errors")
    slack = batch.call("prctl", pr.PR_GET_TIMERSLACK, 0, 0, 0, 0, label="timer slack")
    flusher = None
    if status.capabilities.effective & cap.bit(cap.CAP_SYS_RESOURCE):
        flusher = batch.call("prctl", pr.PR_GET_IO_FLUSHER, 0, 0, 0, 0, must=False, label="I/O flusher")

    def record() -> ThreadFlagsRecord:
        return ThreadFlagsRecord(
            name=status.name,
            timer_slack=slack.value,
            tsc=int.from_bytes(tsc.read(), "little") if tsc_call.ok else 0,
            mce_kill=mce.value if mce.ok else pr.PR_MCE_KILL_DEFAULT,
            io_flusher=flusher is not None and flusher.ok and bool(flusher.value),
            store_bypass=_STORE_BYPASS.get(status.speculation_store_bypass, 0),
            indirect_branch=_INDIRECT_BRANCH.get(status.speculation_indirect_branch, 0),
        )

    return record


def lost_of_thread(record: ThreadFlagsRecord, born: ThreadFlagsRecord) -> tuple[str, ...]:
    """Warnings about what a thread with the flags *born* cannot be given."""
    return tuple(
        f"speculation by {what} was switched {'on' if wanted == pr.PR_SPEC_ENABLE else 'off'}, which is fixed here"
        for what, wanted, here in (
            ("store bypass", record.store_bypass, born.store_bypass),
            ("indirect branches", record.indirect_branch, born.indirect_branch),
        )
        if wanted and wanted != here and here in (0, pr.PR_SPEC_FORCE_DISABLE)
    )


def restore_thread(batch: Batch, record: ThreadFlagsRecord, born: ThreadFlagsRecord) -> None:
    """Adds the calls by which a thread with the flags *born* gets those of *record*, but for what is lost."""
    if record.name != born.name:
        batch.call("prctl", pr.PR_SET_NAME, record.name + b"\0", 0, 0, 0, label="name")
    if record.timer_slack != born.timer_slack and record.timer_slack:
        batch.call("prctl", pr.PR_SET_TIMERSLACK, record.timer_slack, 0, 0, 0, label="timer slack")
    if record.tsc != born.tsc and record.tsc and born.tsc:
        batch.call("prctl", pr.PR_SET_TSC, record.tsc, 0, 0, 0, label="time stamp counter")
    if record.mce_kill != born.mce_kill:
        clear = record.mce_kill == pr.PR_MCE_KILL_DEFAULT
        arguments = (pr.PR_MCE_KILL_CLEAR, 0) if clear else (pr.PR_MCE_KILL_SET, record.mce_kill)
        batch.call("prctl", pr.PR_MCE_KILL, *arguments, 0, 0, label="memory errors")
    if record.io_flusher != born.io_flusher:
        batch.call("prctl", pr.PR_SET_IO_FLUSHER, int(record.io_flusher), 0, 0, 0, label="I/O flusher")
    for which, wanted, here in (
        (pr.PR_SPEC_STORE_BYPASS, record.store_bypass, born.store_bypass),
        (pr.PR_SPEC_INDIRECT_BRANCH, record.indirect_branch, born.indirect_branch),
    ):
        if wanted not in (0, here) and here not in (0, pr.PR_SPEC_FORCE_DISABLE):
            batch.call("prctl", pr.PR_SET_SPECULATION_CTRL, which, wanted, 0, 0, label="speculation")


def dump_process(batch: Batch) -> Callable[[], AddressSpaceFlagsRecord]:
    """Adds the questions; *batch* is run by any thread."""
    thp = batch.call("prctl", pr.PR_GET_THP_DISABLE, 0, 0, 0, 0, must=False, label="huge pages")
    mdwe = batch.call("prctl", pr.PR_GET_MDWE, 0, 0, 0, 0, must=False, label="no writable code")
    merge = batch.call("prctl", pr.PR_GET_MEMORY_MERGE, 0, 0, 0, 0, must=False, label="merging")

    def record() -> AddressSpaceFlagsRecord:
        return AddressSpaceFlagsRecord(
            thp_disable=thp.value if thp.ok else 0,
            mdwe=mdwe.value if mdwe.ok else 0,
            memory_merge=merge.ok and bool(merge.value),
        )

    return record


def restore_process(batch: Batch, record: AddressSpaceFlagsRecord, born: AddressSpaceFlagsRecord) -> None:
    """Adds the calls by which an address space with the flags *born* gets those of *record*.

    EnvironmentDiffers if crtool, and so everything that it makes, is itself under PR_SET_MDWE and the image is not.
    """
    if record.thp_disable != born.thp_disable:
        on = record.thp_disable & pr.PR_THP_DISABLE_SWITCH
        flags = record.thp_disable & ~pr.PR_THP_DISABLE_SWITCH
        batch.call("prctl", pr.PR_SET_THP_DISABLE, on, flags, 0, 0, label="huge pages")
    if record.memory_merge != born.memory_merge:
        batch.call("prctl", pr.PR_SET_MEMORY_MERGE, int(record.memory_merge), 0, 0, 0, label="merging")
    if born.mdwe not in (0, record.mdwe):
        raise EnvironmentDiffers(
            "crtool may make no writable memory executable (PR_SET_MDWE), and the image's process could",
            "run crtool outside that restriction",
        )
    if record.mdwe != born.mdwe:
        batch.call("prctl", pr.PR_SET_MDWE, record.mdwe, 0, 0, 0, label="no writable code")
