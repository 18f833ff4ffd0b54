"""Comparing two buffers of this process, by memcmp(3): no byte of them becomes a Python object.

Python's own comparison of buffers keeps the interpreter lock, and copies what is to be compared of them.
"""

from __future__ import annotations

import ctypes

from crtool.kernel.syscall import memory_address

__all__ = ["Pair"]

_PROTOTYPE = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes = _PROTOTYPE
# To let go of the lock and to get it again takes longer than to look at so little.
_memcmp_of_little = ctypes.PyDLL(None).memcmp
_memcmp_of_little.argtypes = _PROTOTYPE
_LITTLE = 1 << 16  # bytes


class Pair:
    """Two buffers of one size."""

    def __init__(self, size: int) -> None:
        self.ours, self.theirs = memoryview(bytearray(size)), memoryview(bytearray(size))
        self._ours, self._theirs = memory_address(self.ours), memory_address(self.theirs)

    def is_same(self, at: int, length: int) -> bool:
        """Whether the *length* bytes from *at* on are the same in both."""
        compare = _memcmp if length > _LITTLE else _memcmp_of_little
        return not compare(self._ours + at, self._theirs + at, length)

    def runs(self, at: int, length: int, step: int) -> list[tuple[int, int, bool]]:
        """The same, in runs of parts of *step* bytes: beginning and end, counted from *at*, and whether they are."""
        found: list[tuple[int, int, bool]] = []

        def add(first: int, end: int, same: bool) -> None:
            if found and found[-1][2] is same:
                first = found.pop()[0]
            found.append((first, end, same))

        for block in range(0, length, _LITTLE):
            stop = min(block + _LITTLE, length)
            if self.is_same(at + block, stop - block):
                add(block, stop, True)
                continue
            for part in range(block, stop, step):
                add(part, part + step, self.is_same(at + part, step))
        return found
