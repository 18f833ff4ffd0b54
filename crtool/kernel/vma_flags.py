"""The flags of all mappings of a process as one number each, at once, where /proc/PID/smaps walks all its page tables.

Sources: struct vm_area_struct in include/linux/mm_types.h, Documentation/bpf/bpf_iterators.rst (task_vma, since 5.12).

What the bits mean is nothing that the kernel promises, and nobody has to know it: mappings with one number have the
same words in smaps, too, so who has seen both once knows the words of every mapping with that number.
"""

from __future__ import annotations

import os
import struct

from crtool.kernel import bpf_iter, btf
from crtool.kernel.bpf_iter import R7, R8, R9, R10, VMA, Program

__all__ = ["RawFlags", "Reader"]

RawFlags = tuple[int, int, int]
"""Start, end and vm_flags of a mapping."""

_FUNCTION = "bpf_iter_task_vma"
_STRUCTURE = "vm_area_struct"
_ENTRY = struct.Struct("<QQQ")


class Reader:
    """The program. OSError or KeyError if this kernel, or the caller's rights, do not give it."""

    def __init__(self) -> None:
        types = btf.read((_STRUCTURE, _FUNCTION))
        places = [types.offset(_STRUCTURE, member) for member in ("vm_start", "vm_end", "vm_flags")]
        program = Program.of_each(VMA)
        for number, place in enumerate(places):
            program.load(R8, R7, place)
            program.store(R10, 8 * number - _ENTRY.size, R8)
        program.write(R9, _ENTRY.size, _ENTRY.size)
        program.end()
        self._program = bpf_iter.load(program, types.function(_FUNCTION))

    def read(self, tid: int) -> list[RawFlags]:
        """Of the address space of thread *tid*; raises OSError."""
        return list(_ENTRY.iter_unpack(bpf_iter.run(self._program, tid=tid)))

    def close(self) -> None:
        """Unloads it."""
        os.close(self._program)
