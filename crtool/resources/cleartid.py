"""The word that the kernel clears, and wakes a futex on, when a thread ends (set_tid_address(2)).

The kernel keeps its address for each thread, 0 for none. pthread_join(3) waits on it.

We read it by prctl(PR_GET_TID_ADDRESS), made by the thread; nothing else tells it.

We rebuild it by set_tid_address. *Order:* after the memory is there, or a thread that ends early would write into
nothing (which the kernel passes over).

Refused: a kernel without CONFIG_CHECKPOINT_RESTORE, which has no such question.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from crtool.abi.prctl import PR_GET_TID_ADDRESS
from crtool.errors import EnvironmentDiffers
from crtool.puppet.batch import Batch
from crtool.puppet.thread import HeldThread

if TYPE_CHECKING:
    from crtool.puppet.hold import HeldProcess

__all__ = ["dump", "restore"]


def dump(process: HeldProcess, thread: HeldThread, batch: Batch) -> Callable[[], int]:
    """Adds the question; the answer is the address, or 0.

    Raises EnvironmentDiffers where the kernel cannot tell.
    """
    buffer = batch.buffer(8)
    call = batch.call("prctl", PR_GET_TID_ADDRESS, buffer, 0, 0, 0, must=False)

    def address() -> int:
        if call.errno == errno.EINVAL:
            raise EnvironmentDiffers(
                "this kernel does not tell what a thread does at its end (PR_GET_TID_ADDRESS)",
                "use a kernel that is built with CONFIG_CHECKPOINT_RESTORE",
            )
        call.value  # noqa: B018 - raises if it failed in another way
        return int.from_bytes(buffer.read(), "little")

    return address


def restore(batch: Batch, address: int) -> None:
    """Adds the call, to be made by the thread, which has none yet."""
    if address:
        batch.call("set_tid_address", address, label="word to clear at the end of the thread")
