"""Whether a process adopts the orphans among its descendants (PR_SET_CHILD_SUBREAPER).

The kernel keeps a flag for the process, and for each process whether it has such an ancestor, which it takes over at
birth and passes down when the flag is set.

We read the flag by prctl, made by the process.

We rebuild it by prctl. *Order:* the planner of the tree decides, since the flag says where orphans go: it is set for a
while in processes that do not have it.

Lost: nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from crtool.abi.prctl import PR_GET_CHILD_SUBREAPER, PR_SET_CHILD_SUBREAPER
from crtool.puppet.batch import Batch

if TYPE_CHECKING:
    from crtool.puppet.hold import HeldProcess

__all__ = ["dump", "restore"]


def dump(process: HeldProcess, batch: Batch) -> Callable[[], bool]:
    """Adds the question."""
    buffer = batch.buffer(4)
    batch.call("prctl", PR_GET_CHILD_SUBREAPER, buffer, 0, 0, 0)
    return lambda: any(buffer.read())


def restore(batch: Batch, on: bool) -> None:
    """Adds the call, also to take the flag away again."""
    batch.call("prctl", PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0, label="child subreaper")
