"""Finding the gadgets (see :class:`crtool.arch.x86_64.Gadgets`) in a process."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from crtool.arch import cpu
from crtool.errors import TargetError
from crtool.procfs.maps import Mapping

__all__ = ["gadgets_of"]

_MAX_CODE = 64 << 20  # bytes of one mapping that are looked at
_C_LIBRARY = re.compile(rb"/(libc[.-]|ld-|ld64)[^/]*$")  # also the loader, which is musl's C library

# What lies in a mapped file: (device, inode, file offset, size) → pieces, relative to the mapping.
_known: dict[tuple[int, int, int, int, int], cpu.Pieces] = {}


def gadgets_of(pid: int, memory: int, maps: Sequence[Mapping]) -> cpu.Gadgets:
    """The gadgets of process *pid*: from one mapping that has them both, or put together from all of its code.

    *memory* is a descriptor of /proc/PID/mem. What a file has, and what it has not, is remembered for the next process.
    """
    executable = [mapping for mapping in maps if mapping.execute and mapping.read and mapping.name != b"[vsyscall]"]
    code: list[tuple[int, cpu.Pieces]] = []
    for mapping in sorted(executable, key=_promise):
        pieces = _look(memory, mapping)
        if (found := cpu.gadgets([(mapping.start, pieces)])) is not None:
            return found
        code.append((mapping.start, pieces))
    if (found := cpu.gadgets(code)) is None:
        raise TargetError(
            f"PID {pid} has no code from which a system call can be made",
            "programs without a C library and without a vDSO cannot be checkpointed",
        )
    return found


def _promise(mapping: Mapping) -> tuple[bool, bool, int]:
    """Sorts first where both gadgets are likely: large programs have hundreds of mappings that have none."""
    return not _C_LIBRARY.search(mapping.name), b"[vdso]" != mapping.name, mapping.end - mapping.start


def _look(memory: int, mapping: Mapping) -> cpu.Pieces:
    key = (mapping.major, mapping.minor, mapping.inode, mapping.offset, mapping.end - mapping.start)
    if (known := _known.get(key)) is not None and mapping.inode:
        return known
    pieces = cpu.find_pieces(os.pread(memory, min(mapping.end - mapping.start, _MAX_CODE), mapping.start))
    if mapping.inode:
        _known[key] = pieces
    return pieces
