"""The alternate signal stack of a thread (sigaltstack(2)).

The kernel keeps address, size and the flag SS_AUTODISARM for each thread. Whether the thread runs on that stack
(SS_ONSTACK) is not kept but seen from the stack pointer. While a handler runs that was entered with SS_AUTODISARM, the
stack is disarmed, and its settings are in the signal frame, that is, in memory.

We read it by sigaltstack, made by the thread.

We rebuild it by sigaltstack. *Order:* any; the kernel refuses it only to a thread whose stack pointer is within the
alternate stack that it has, and a newborn has none.

Lost: nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from crtool.abi.signals import SS_DISABLE, SS_ONSTACK, STACK_T
from crtool.puppet.batch import Batch
from crtool.puppet.thread import HeldThread
from crtool.record import dataclass

if TYPE_CHECKING:
    from crtool.puppet.hold import HeldProcess

__all__ = ["AltstackRecord", "dump", "restore"]


@dataclass(frozen=True)
class AltstackRecord:
    """stack_t as sigaltstack(2) takes it."""

    address: int
    flags: int  # SS_DISABLE, SS_AUTODISARM
    size: int  # bytes


def dump(process: HeldProcess, thread: HeldThread, batch: Batch) -> Callable[[], AltstackRecord | None]:
    """Adds the question; None if the thread has no alternate stack."""
    buffer = batch.buffer(STACK_T.size)
    batch.call("sigaltstack", 0, buffer)

    def record() -> AltstackRecord | None:
        address, flags, size = STACK_T.unpack(buffer.read())
        flags &= ~SS_ONSTACK  # of the stack pointer that the thread had while it answered
        return None if flags == SS_DISABLE else AltstackRecord(address, flags, size)

    return record


def restore(batch: Batch, record: AltstackRecord | None) -> None:
    """Adds the call, to be made by the thread."""
    if record is not None:
        stack = STACK_T.pack(record.address, record.flags, record.size)
        batch.call("sigaltstack", stack, 0, label="alternate signal stack")
