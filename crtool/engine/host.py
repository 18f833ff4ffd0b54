"""The machine and the moment of a checkpoint."""

from __future__ import annotations

import os
import time

from crtool.arch import cpu
from crtool.engine.freeze import Frozen
from crtool.engine.snapshot import HostRecord
from crtool.procfs import timens

__all__ = ["host_of"]


def host_of(frozen: Frozen) -> HostRecord:
    """What a restart has to know of where and when the frozen tree was saved."""
    held = next(process.held for process in frozen.processes.values() if process.held is not None)
    fpu = next(iter(held.threads.values())).fpu
    own, its = timens.of(os.getpid()), timens.of(held.door)
    ahead = timens.NONE if own is None or its is None else its.since(own)
    return HostRecord(
        kernel=os.uname().release,
        created=time.time(),
        xfeatures=cpu.xfeatures(fpu),
        xstate_size=len(fpu),
        monotonic=time.clock_gettime_ns(time.CLOCK_MONOTONIC) + ahead.monotonic,
        boottime=time.clock_gettime_ns(time.CLOCK_BOOTTIME) + ahead.boottime,
        clock_offsets=ahead,
    )
