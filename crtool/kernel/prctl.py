"""prctl(2) on this process itself."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from crtool.abi.prctl import PR_SET_NAME
from crtool.kernel.syscall import syscall

__all__ = ["child_subreaper", "is_child_subreaper", "set_name"]

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37


@contextmanager
def child_subreaper() -> Iterator[None]:
    """Makes this process adopt the orphans among its descendants, and at the end no longer if it did not before."""
    before = is_child_subreaper()
    syscall("prctl", _PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        syscall("prctl", _PR_SET_CHILD_SUBREAPER, before)


def is_child_subreaper() -> bool:
    """Whether this process adopts the orphans among its descendants."""
    found = ctypes.c_int()
    syscall("prctl", _PR_GET_CHILD_SUBREAPER, ctypes.addressof(found))
    return bool(found.value)


def set_name(name: bytes) -> None:
    """Gives the calling thread a name of at most 15 bytes, for ps(1)."""
    text = ctypes.create_string_buffer(name)
    syscall("prctl", PR_SET_NAME, ctypes.addressof(text))
