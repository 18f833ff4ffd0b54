"""/proc/PID/auxv: what the kernel told the program when it began.

Spec: getauxval(3), proc_pid_auxv(5); include/uapi/linux/auxvec.h. Pairs of native words, ended by AT_NULL. The kernel
keeps its own copy (mm->saved_auxv), which PR_SET_MM_MAP replaces; a program that overwrote the vector on its stack is
not seen here. Zombies and kernel threads have none: reading fails with ESRCH.
"""

from __future__ import annotations

import struct

from crtool.procfs.error import ProcfsError
from crtool.record import dataclass

__all__ = [
    "AT_BASE",
    "AT_ENTRY",
    "AT_EXECFN",
    "AT_HWCAP",
    "AT_HWCAP2",
    "AT_MINSIGSTKSZ",
    "AT_NULL",
    "AT_PAGESZ",
    "AT_PHDR",
    "AT_PHENT",
    "AT_PHNUM",
    "AT_PLATFORM",
    "AT_RANDOM",
    "AT_RSEQ_ALIGN",
    "AT_RSEQ_FEATURE_SIZE",
    "AT_SECURE",
    "AT_SYSINFO_EHDR",
    "Auxv",
    "parse",
]

AT_NULL = 0
AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE = 3, 4, 5, 6, 7
AT_ENTRY, AT_PLATFORM, AT_HWCAP = 9, 15, 16
AT_SECURE, AT_RANDOM, AT_HWCAP2 = 23, 25, 26
AT_RSEQ_FEATURE_SIZE, AT_RSEQ_ALIGN = 27, 28
AT_EXECFN, AT_SYSINFO_EHDR, AT_MINSIGSTKSZ = 31, 33, 51

_FORMATS = {4: "I", 8: "Q"}


@dataclass(frozen=True)
class Auxv:
    """The vector up to, and without, its AT_NULL."""

    pairs: tuple[tuple[int, int], ...]  # AT_* and value, in order

    def get(self, kind: int) -> int | None:
        """The value of the first entry of that AT_* kind."""
        return next((value for known, value in self.pairs if known == kind), None)


def parse(data: bytes, word: int = 8) -> Auxv:
    """The vector of a program whose words have *word* bytes (4 or 8); ProcfsError if it does not end in AT_NULL."""
    pair = struct.Struct("=2" + _FORMATS[word])
    found: list[tuple[int, int]] = []
    if len(data) % pair.size == 0:
        for kind, value in pair.iter_unpack(data):
            if kind == AT_NULL:
                return Auxv(tuple(found))
            found.append((kind, value))
    raise ProcfsError("auxv", data)
