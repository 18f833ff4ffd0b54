"""Room on the stacks of a program, below what is live of them: for the ways home of a task that is led away."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from crtool.arch import cpu
from crtool.procfs.maps import Mapping
from crtool.record import replace

__all__ = ["find", "grown"]

_STACK = b"[stack]"
_RED_ZONE = 128  # bytes below the stack pointer that a function may use without moving it


def find(maps: Sequence[Mapping], pointers: Sequence[int], size: int, memory: int) -> int:
    """The address of *size* bytes that no thread uses, 0 if there are none.

    The low end of the main stack is best: nobody uses it while all stack pointers are elsewhere, not even
    programs that keep small stacks of their own. Else the room below some thread's red zone will do.

    *pointers*: of the threads' stacks; *memory*: a descriptor of /proc/PID/mem.
    """
    for mapping in maps:
        low, high = mapping.start, mapping.start + size
        if mapping.name == _STACK and mapping.write and high <= mapping.end:
            margin = 2 * cpu.PAGE_SIZE
            if not any(low <= pointer < high + margin for pointer in pointers):
                return low
    for mapping in maps:
        for pointer in pointers:
            private = mapping.write and not mapping.shared
            if private and mapping.start <= (low := _below(pointer, size)) and pointer < mapping.end:
                return low
    return _beyond(maps, pointers, size, memory)


def _below(pointer: int, size: int) -> int:
    return (pointer - _RED_ZONE - size) & -cpu.FRAME_ALIGN


def _beyond(maps: Sequence[Mapping], pointers: Sequence[int], size: int, memory: int) -> int:
    """The same, of a program that is deeper in recursion than it has ever been: its stack ends near the pointer, and
    grows, if it may, when somebody looks below (access_remote_vm() in mm/memory.c), as it would for the program itself.
    """
    for mapping in maps:
        for pointer in pointers:
            if mapping.name == _STACK and mapping.start <= pointer < mapping.end:
                with suppress(OSError):
                    if len(os.pread(memory, size, low := _below(pointer, size))) == size:
                        return low
    return 0


def grown(maps: Sequence[Mapping], at: int) -> tuple[Mapping, ...]:
    """*maps*, with a stack that reaches down to what was found at *at*."""
    start = at & -cpu.PAGE_SIZE
    for index, mapping in enumerate(maps):
        if mapping.name == _STACK and start < mapping.start and (not index or maps[index - 1].end <= start):
            return (*maps[:index], replace(mapping, start=start), *maps[index + 1 :])
    return tuple(maps)
