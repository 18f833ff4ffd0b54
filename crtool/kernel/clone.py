"""clone3(2) with set_tid (since 5.5): the birth of a process with the PIDs of our choice."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from crtool.abi.clone import CLONE_ARGS
from crtool.kernel.syscall import syscall_holding_gil

__all__ = ["clone3", "set_tid"]


def set_tid(pids: Sequence[int]) -> tuple[int, ...]:
    """The `set_tid` array of clone3 for *pids*, which stand as everywhere else in crtool: outermost namespace first."""
    return tuple(reversed(pids))


def clone3(flags: int, exit_signal: int, pids: Sequence[int] = ()) -> int:
    """Makes a child of this process, as fork(2) does; returns its PID, and 0 in the child.

    *pids*: the child's PID in the innermost namespaces, outermost first; EEXIST if one is taken.
    """
    numbers = set_tid(pids)
    array = (ctypes.c_int * max(1, len(numbers)))(*numbers)
    args = CLONE_ARGS.pack(
        flags, 0, 0, 0, exit_signal, 0, 0, 0, ctypes.addressof(array) if numbers else 0, len(numbers), 0
    )
    buffer = ctypes.create_string_buffer(args, len(args))
    return syscall_holding_gil("clone3", ctypes.addressof(buffer), len(args))
