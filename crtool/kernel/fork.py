"""A fork of the Python interpreter by a system call of our choice.

os.fork() does three things that a bare clone3 does not: it runs the functions of os.register_at_fork and takes the
import lock before; it lets go of them after, in the parent; and in the child it makes new locks for the interpreter,
forgets the other threads and re-seeds what has to differ. All that is in three functions of Python's C API, which are
called here in the same order.

What is left to be known, as with any fork of a process that has threads: only the calling one goes on in the child. A
thread that is inside malloc, in C code that does not hold the interpreter lock, leaves the heap locked there: glibc
repairs that in its own fork() only. So a child that is only to execute something else runs no Python at all.
"""

from __future__ import annotations

import collections
import ctypes
import functools
import gc
import itertools
import operator
import os
from collections.abc import Callable, Iterable, Sequence

from crtool.abi.prctl import PR_GET_TID_ADDRESS
from crtool.kernel.syscall import RawCall, prepared, syscall

__all__ = ["fork_by", "libc_tid_address"]

_before = ctypes.pythonapi.PyOS_BeforeFork
_after_in_parent = ctypes.pythonapi.PyOS_AfterFork_Parent
_after_in_child = ctypes.pythonapi.PyOS_AfterFork_Child
for _function in (_before, _after_in_parent, _after_in_child):
    _function.argtypes = []
    _function.restype = None

_invoke = operator.methodcaller("__call__")


def fork_by(call: RawCall, prelude: Iterable[RawCall] = (), child: Sequence[RawCall] = ()) -> int:
    """Makes *call*, which bears a child; returns the child's PID, and 0 in the child. OSError if it fails.

    The calls of *prelude* are made right before it. If there is a *child*, it makes these calls, whatever they answer,
    ends with status 127 when they have returned, and nothing else happens there.
    """
    # Not one instruction of Python may be run between the call and _after_in_child, or the child may hang:
    #
    # 1. another thread of the parent waits for the interpreter lock; after 5 ms it asks for it (gil_drop_request);
    # 2. the call copies this process, with that wish and without that thread;
    # 3. the child, at its next instruction, sees the wish, gives the lock away, and waits until somebody has taken
    #    it: nobody ever will.
    #
    # So what follows is one chain of C code: iterators that call functions. `result` is looked up in the table of
    # what comes next, 0 being the child, and kept by the tee. The collector would run finalizers in Python, too.
    in_child: Callable[[], object] = _after_in_child
    if child:
        calls = map(_invoke, (*child, prepared("exit_group", 127)))
        in_child = functools.partial(collections.deque, calls, 0)
    collecting = gc.isenabled()
    gc.disable()
    try:
        kept, result = itertools.tee(map(_invoke, (call,)))
        after = map({0: in_child}.get, result, (_after_in_parent,))
        collections.deque(map(_invoke, itertools.chain((_before, *prelude), after)), maxlen=0)
        pid: int = next(kept)
    finally:
        if collecting:
            gc.enable()
    if pid == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return pid


def libc_tid_address() -> int | None:
    """Where the C library keeps the TID of this thread, which is to be set and cleared in a child that is no thread.

    It is what the library itself has told the kernel (set_tid_address(2)). None where the kernel does not tell it.
    """
    address = ctypes.c_ulong()
    try:
        syscall("prctl", PR_GET_TID_ADDRESS, ctypes.addressof(address))
    except OSError:
        return None
    return address.value or None
