"""Finding the gadgets (see :class:`crtool.arch.x86_64.Gadgets`) in a process."""

from __future__ import annotations

import os
from collections.abc import Sequence

from crtool.arch import cpu
from crtool.errors import TargetError
from crtool.procfs.maps import Mapping

__all__ = ["gadgets_of"]

_MAX_CODE = 64 << 20  # bytes of one mapping that are looked at

# Where the gadgets lie in a mapped file: (device, inode, file offset, size) → (call, sigreturn) relative to the
# mapping.
_known: dict[tuple[int, int, int, int, int], cpu.Gadgets | None] = {}


def gadgets_of(pid: int, memory: int, maps: Sequence[Mapping]) -> cpu.Gadgets:
    """The gadgets of process *pid*: from one mapping that has them both, or put together from all of its code.

    *memory* is a descriptor of /proc/PID/mem. What was found in a file is remembered for the next process.
    """
    executable = [mapping for mapping in maps if mapping.execute and mapping.read and mapping.name != b"[vsyscall]"]
    # The C library and the loader lie high, the program low: start where both gadgets are likely.
    code: list[tuple[int, bytes]] = []
    for mapping in sorted(executable, key=lambda m: (b"libc" not in m.name, b"[vdso]" != m.name, m.end - m.start)):
        key = (mapping.major, mapping.minor, mapping.inode, mapping.offset, mapping.end - mapping.start)
        if mapping.inode and key in _known and (relative := _known[key]) is not None:
            return _moved(relative, mapping.start)
        content = os.pread(memory, min(mapping.end - mapping.start, _MAX_CODE), mapping.start)
        found = cpu.find_gadgets([(0, content)])
        if mapping.inode:
            _known[key] = found
        if found is not None:
            return _moved(found, mapping.start)
        code.append((mapping.start, content))
    found = cpu.find_gadgets(code)
    if found is None:
        raise TargetError(
            f"PID {pid} has no code from which a system call can be made",
            "programs without a C library and without a vDSO cannot be checkpointed",
        )
    return found


def _moved(gadgets: cpu.Gadgets, by: int) -> cpu.Gadgets:
    # The number among the words of a sigreturn chain is small; addresses are moved.
    number = cpu.NUMBERS["rt_sigreturn"]
    words = tuple(word if word == number else word + by for word in gadgets.sigreturn)
    return cpu.Gadgets(gadgets.call + by, words)
