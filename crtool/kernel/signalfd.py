"""signalfd(2)."""

from __future__ import annotations

from crtool.kernel.syscall import memory_address, syscall

__all__ = ["create"]


def create(mask: int, flags: int) -> int:
    """A descriptor from which the signals of *mask* (bit n−1 is signal n) can be read."""
    buffer = bytearray(mask.to_bytes(8, "little"))
    return syscall("signalfd4", -1, memory_address(memoryview(buffer)), len(buffer), flags)
