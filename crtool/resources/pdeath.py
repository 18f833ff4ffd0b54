"""The signal that a thread gets when its parent dies (PR_SET_PDEATHSIG).

The kernel keeps the number for each thread, 0 for none.

We read it by prctl, made by the thread; nothing else tells it.

We rebuild it by prctl. *Order:* after the credentials: the kernel clears it whenever a thread changes the user or group
that it acts as, or gains capabilities.

Lost: which thread of the parent counts. The kernel sends the signal when the *thread* ends that has made the
process; after a restart that is the main thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from crtool.abi.prctl import PR_GET_PDEATHSIG, PR_SET_PDEATHSIG
from crtool.puppet.batch import Batch
from crtool.puppet.thread import HeldThread

if TYPE_CHECKING:
    from crtool.puppet.hold import HeldProcess

__all__ = ["dump", "restore"]


def dump(process: HeldProcess, thread: HeldThread, batch: Batch) -> Callable[[], int]:
    """Adds the question; the answer is the number of the signal, or 0."""
    buffer = batch.buffer(4)
    batch.call("prctl", PR_GET_PDEATHSIG, buffer, 0, 0, 0)
    return lambda: int.from_bytes(buffer.read(), "little")


def restore(batch: Batch, signal: int) -> None:
    """Adds the call, to be made by the thread, which has none yet."""
    if signal:
        batch.call("prctl", PR_SET_PDEATHSIG, signal, 0, 0, 0, label="parent-death signal")
