"""The bounds that the kernel keeps of an address space: code, data, heap, stack, arguments, environment, auxv, exe.

The kernel keeps them in struct mm_struct; /proc/PID/cmdline, environ, auxv and exe are read through them, and brk(2)
moves the end of the heap.

We read /proc/PID/stat (fields 26–28 and 45–51 of proc_pid_stat(5)), /proc/PID/auxv, and ask the task for its brk.

We rebuild them all at once by prctl(PR_SET_MM, PR_SET_MM_MAP), which unlike the other PR_SET_MM calls does not need
CAP_SYS_RESOURCE, when the mappings are there; the link to the executable is part of it, and answers EBUSY while
anything of the old one is mapped.

Nothing is lost.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from crtool.procfs.stat import Stat
from crtool.puppet.batch import Batch
from crtool.record import dataclass

__all__ = ["BoundsRecord", "dump", "restore"]

_PR_SET_MM, _PR_SET_MM_MAP = 35, 14
# struct prctl_mm_map: 11 addresses, pointer to auxv, its size, exe descriptor.
_MM_MAP = struct.Struct("<11QQIi")
_AUXV_POINTER = 11 * 8


@dataclass(frozen=True)
class BoundsRecord:
    """Addresses, as struct prctl_mm_map has them."""

    start_code: int
    end_code: int
    start_data: int
    end_data: int
    start_brk: int
    brk: int
    start_stack: int
    arg_start: int
    arg_end: int
    env_start: int
    env_end: int
    auxv: bytes  # the auxiliary vector, pairs of 64-bit words


def dump(batch: Batch, stat: Stat, auxv: bytes) -> Callable[[], BoundsRecord]:
    """Asks the task for its brk; *stat* and *auxv* are of the frozen process."""
    brk = batch.call("brk", 0)

    def record() -> BoundsRecord:
        return BoundsRecord(
            start_code=stat.start_code,
            end_code=stat.end_code,
            start_data=stat.start_data,
            end_data=stat.end_data,
            start_brk=stat.start_brk,
            brk=brk.value,
            start_stack=stat.startstack,
            arg_start=stat.arg_start,
            arg_end=stat.arg_end,
            env_start=stat.env_start,
            env_end=stat.env_end,
            auxv=auxv,
        )

    return record


def restore(batch: Batch, record: BoundsRecord, exe: int) -> None:
    """Adds the call; *exe* is the executable, open in the puppet."""
    bounds = (
        record.start_code,
        record.end_code,
        record.start_data,
        record.end_data,
        record.start_brk,
        record.brk,
        record.start_stack,
        record.arg_start,
        record.arg_end,
        record.env_start,
        record.env_end,
    )
    packed = _MM_MAP.pack(*bounds, 0, len(record.auxv), exe)
    mm_map = batch.data(packed, {_AUXV_POINTER: batch.data(record.auxv)} if record.auxv else None)
    batch.call("prctl", _PR_SET_MM, _PR_SET_MM_MAP, mm_map, len(packed), 0, label="bounds of the address space")
