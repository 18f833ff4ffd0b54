"""The area of restartable sequences that a thread has registered (rseq(2)).

The kernel keeps its address, size and signature for each thread, and writes the number of the CPU into it whenever
the thread comes back to user mode on another one. What the area holds is memory.

We read the registration by ptrace (PTRACE_GET_RSEQ_CONFIGURATION), when the thread settles.

We rebuild it by rseq, made by the thread. *Order:* after the memory is there: the kernel writes to it at once, and
kills a thread whose area it cannot write to.

A thread that is stopped within a critical section is taken out of it before anything else
(:mod:`crtool.puppet.critical`). Lost: nothing.
"""

from __future__ import annotations

from crtool.puppet.batch import Batch
from crtool.puppet.thread import HeldThread
from crtool.record import dataclass

__all__ = ["RseqRecord", "dump", "restore"]


@dataclass(frozen=True)
class RseqRecord:
    """What the thread has registered."""

    address: int
    size: int  # bytes
    signature: int  # the word that stands before every abort handler


def dump(thread: HeldThread) -> RseqRecord | None:
    """The registration; None if there is none."""
    address, size, signature = thread.rseq
    return RseqRecord(address, size, signature) if address else None


def restore(batch: Batch, record: RseqRecord | None) -> None:
    """Adds the call, to be made by the thread."""
    if record is not None:
        batch.call("rseq", record.address, record.size, 0, record.signature, label="restartable sequences")
