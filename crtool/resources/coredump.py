"""What may be seen of a process that crashes, and by whom: dumpable (prctl(2)) and coredump_filter (core(5)).

The kernel keeps both with the address space. A process that is not dumpable leaves no core file, its /proc files
belong to root, and only CAP_SYS_PTRACE can trace it.

We ask the process for PR_GET_DUMPABLE, and read /proc/PID/coredump_filter.

We rebuild dumpable by prctl(2), made by the process itself. Order needed: after the credentials of all threads, each
change of which resets it. We write coredump_filter from outside, before that: the file of a process that is not
dumpable belongs to root.

Lost is the dumpable value 2 (core files that only root can read), which only the kernel itself can give, to a program
that it does not trust with its own memory: it becomes 0 (no core files), with a warning (:func:`lost`).
"""

from __future__ import annotations

import os
from collections.abc import Callable

from crtool.abi import prctl as pr
from crtool.procfs import scalars
from crtool.procfs.read import open_file, read
from crtool.puppet.batch import Batch
from crtool.record import dataclass

__all__ = ["CoredumpRecord", "dump", "lost", "restore", "restore_from_outside"]

_SUID_DUMP_ROOT = 2


@dataclass(frozen=True)
class CoredumpRecord:
    """One address space."""

    dumpable: int  # 0 no, 1 yes, 2 readable by root only: PR_GET_DUMPABLE
    filter: int | None  # bits for kinds of mappings: /proc/PID/coredump_filter; None on a kernel without it


def dump(pid: int, batch: Batch) -> Callable[[], CoredumpRecord]:
    """Adds the question that only process *pid* can answer; *batch* is run by it."""
    dumpable = batch.call("prctl", pr.PR_GET_DUMPABLE, 0, 0, 0, 0, label="dumpable")
    mask = scalars.coredump_filter(read(pid, "coredump_filter", missing=b""))
    return lambda: CoredumpRecord(dumpable.value, mask)


def lost(record: CoredumpRecord) -> tuple[str, ...]:
    """What cannot be brought back, as warnings."""
    if record.dumpable == _SUID_DUMP_ROOT:
        return ("core files were readable by root only (dumpable 2); the restored process will make none (dumpable 0)",)
    return ()


def restore(batch: Batch, record: CoredumpRecord) -> None:
    """Adds the call; nobody knows what the changes of credentials have left, so it is always made."""
    dumpable = 1 if record.dumpable == 1 else 0
    batch.call("prctl", pr.PR_SET_DUMPABLE, dumpable, 0, 0, 0, label="dumpable")


def restore_from_outside(pid: int, record: CoredumpRecord, born: CoredumpRecord) -> None:
    """Writes the filter, unless the process has been born with it."""
    if record.filter is None or record.filter == born.filter:
        return
    fd = open_file(pid, "coredump_filter", os.O_WRONLY)
    try:
        os.write(fd, hex(record.filter).encode())
    finally:
        os.close(fd)
