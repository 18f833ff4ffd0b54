"""The execution domain of a thread: personality(2).

The kernel keeps one number for each thread: a domain and flags such as ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC; new
threads and processes inherit it, and execve(2) may clear some of it.

We read /proc/PID/task/TID/personality.

We rebuild it by personality(2), made by the thread itself; no privilege is needed. Order needed: after memory, since
READ_IMPLIES_EXEC and ADDR_COMPAT_LAYOUT change what mmap(2) does.

Nothing is lost.
"""

from __future__ import annotations

from crtool.procfs import scalars
from crtool.procfs.read import read
from crtool.puppet.batch import Batch
from crtool.record import dataclass

__all__ = ["PersonalityRecord", "dump", "restore"]


@dataclass(frozen=True)
class PersonalityRecord:
    """One thread."""

    persona: int  # as personality(2) takes it: /proc/PID/task/TID/personality


def dump(tid: int) -> PersonalityRecord:
    """The personality of any task that crtool may trace."""
    return PersonalityRecord(scalars.personality(read(tid, "personality")))


def restore(batch: Batch, record: PersonalityRecord, born: PersonalityRecord) -> None:
    """Adds the call, unless the thread has been born with this personality."""
    if record != born:
        batch.call("personality", record.persona, label="personality")
