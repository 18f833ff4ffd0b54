"""prctl(2) on this process itself."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from crtool.kernel.syscall import syscall

__all__ = ["child_subreaper"]

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37


@contextmanager
def child_subreaper() -> Iterator[None]:
    """Makes this process adopt the orphans among its descendants, and at the end no longer if it did not before."""
    before = ctypes.c_int()
    syscall("prctl", _PR_GET_CHILD_SUBREAPER, ctypes.addressof(before))
    syscall("prctl", _PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        syscall("prctl", _PR_SET_CHILD_SUBREAPER, before.value)
