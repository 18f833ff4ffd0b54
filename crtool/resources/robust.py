"""The head of a thread's list of robust futexes (get_robust_list(2)).

The kernel keeps an address and a length for each thread; the list itself is memory. When the thread ends, the
kernel walks it and frees the locks that the thread still holds.

We ask for it ourselves, which ptrace access allows.

We rebuild it by set_robust_list, made by the thread. *Order:* any; the kernel looks at the memory only when the thread
ends. The list holds TIDs, which are the old ones again.

Lost: the list of a 32-bit program.
"""

from __future__ import annotations

from crtool.kernel.process import get_robust_list
from crtool.puppet.batch import Batch
from crtool.puppet.thread import HeldThread
from crtool.record import dataclass

__all__ = ["RobustRecord", "dump", "restore"]


@dataclass(frozen=True)
class RobustRecord:
    """Where the list begins."""

    head: int  # address of struct robust_list_head
    size: int  # of that struct in bytes, always 24


def dump(thread: HeldThread) -> RobustRecord | None:
    """The head of the list; None if the thread has registered none."""
    head, size = get_robust_list(thread.tid)
    return RobustRecord(head, size) if head else None


def restore(batch: Batch, record: RobustRecord | None) -> None:
    """Adds the call, to be made by the thread."""
    if record is not None:
        batch.call("set_robust_list", record.head, record.size, label="robust futexes")
