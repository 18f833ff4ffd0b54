"""The one door to system calls that Python does not have.

Every argument is passed as a full machine word: ctypes would cut a plain Python int to a C int.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable

from crtool import faults
from crtool.arch import cpu

__all__ = ["RawCall", "memory_address", "prepared", "syscall"]

RawCall = Callable[[], int]
"""A system call that is ready to be made. It answers −1 for an error and leaves ctypes.get_errno()."""

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = [ctypes.c_ulong] * 7

# PyDLL keeps the interpreter lock: a child that was made by fork must not wait for it.
_syscall_holding_gil = ctypes.PyDLL(None, use_errno=True).syscall
_syscall_holding_gil.restype = ctypes.c_long
_syscall_holding_gil.argtypes = [ctypes.c_ulong] * 7


def syscall(name: str, *args: int) -> int:
    """Makes the system call *name*; returns its result or raises OSError."""
    faults.fail_call()
    result: int = _syscall(cpu.NUMBERS[name], *args, *(0,) * (6 - len(args)))
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def prepared(name: str, *args: int) -> RawCall:
    """A call, as of :func:`syscall`, that makes a child of this process, or is made by one, to be made later."""
    return functools.partial(_syscall_holding_gil, cpu.NUMBERS[name], *args, *(0,) * (6 - len(args)))


def memory_address(view: memoryview) -> int:
    """The address of a writable buffer in this process."""
    return ctypes.addressof(ctypes.c_char.from_buffer(view))
