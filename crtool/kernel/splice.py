"""tee(2)."""

from __future__ import annotations

from crtool.kernel.syscall import syscall

__all__ = ["tee"]

_SPLICE_F_NONBLOCK = 2


def tee(source: int, target: int, length: int) -> int:
    """Copies up to *length* unread bytes of one pipe into another without consuming them; returns how many.

    Raises BlockingIOError if there are none.
    """
    return syscall("tee", source, target, length, _SPLICE_F_NONBLOCK)
