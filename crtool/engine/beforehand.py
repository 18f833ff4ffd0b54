"""What is done for a checkpoint before anybody stands still, so that it need not be done then.

A first time takes longer than all others: constructors are compiled, the machine is asked what does not change, code is
searched for gadgets. For a tiny process that would be most of the time for which it stands still.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from crtool.engine.snapshot import Snapshot
from crtool.errors import TargetDied, TargetError
from crtool.image import codec
from crtool.kernel.process import raise_file_limit
from crtool.kernel.wait import WaitStatus
from crtool.procfs import maps as maps_file
from crtool.procfs import stat as stat_file
from crtool.procfs.read import open_file, read
from crtool.puppet.code import gadgets_of
from crtool.record import compile_init
from crtool.resources import cgroups, limits, scheduling
from crtool.resources.memory.pages import ExtentRecord, Stretch

__all__ = ["be_ready"]

_MADE_WHILE_FROZEN = (WaitStatus, Stretch, ExtentRecord)


def be_ready(pids: Sequence[int]) -> None:
    """Does for the living tree of *pids* what can be done already; the first of them is asked what it will be asked."""
    codec.prepare(Snapshot)
    for kind in _MADE_WHILE_FROZEN:
        compile_init(kind)
    raise_file_limit()  # a descriptor for each file whose content is saved, and for each one in flight
    root = pids[0]
    with suppress(TargetDied, TargetError, OSError):  # the frozen tree will be asked, and told of what is wrong
        stat_file.parse(read(root, "stat"))
        limits.dump(root)
        cgroups.dump(root)
        scheduling.dump(root)
        memory = open_file(root, "mem", os.O_RDONLY)
        try:
            gadgets_of(root, memory, maps_file.parse(read(root, "maps")))
        finally:
            os.close(memory)
