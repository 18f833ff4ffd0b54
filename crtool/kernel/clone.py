"""clone3(2), with set_tid (since 5.5) for the PIDs of our choice, and clone(2), where that is hidden or missing."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from crtool.kernel.eclone_request import Clone3, EcloneRequest
from crtool.kernel.fork import fork_by
from crtool.kernel.syscall import RawCall, prepared, syscall

__all__ = ["clone3", "clone3_call", "clone_call", "why_no_set_tid"]

_STRUCT_SIZE = 88  # CLONE_ARGS_SIZE_VER2


def clone3(flags: int, exit_signal: int, pids: Sequence[int] = (), child: Sequence[RawCall] = ()) -> int:
    """Makes a child of this process, as fork(2) does; returns its PID, and 0 in the child.

    *pids*: the child's PID in the innermost namespaces, outermost first, with the 1 of CLONE_NEWPID; EEXIST if one is
    taken. The C library of the child is not told of its TID: the child is to do little more than to execute another
    program. If it does nothing else, *child* has the calls for that (:func:`crtool.kernel.fork.fork_by`). Not a bare
    call: with other threads around, two children of a hundred would wait for the interpreter lock for ever.
    """
    with clone3_call(EcloneRequest.of_vector(flags, exit_signal, pids).clone3()) as call:
        return fork_by(call, child=child)


@contextmanager
def clone3_call(args: Clone3) -> Iterator[RawCall]:
    """clone3 with *args*, to be made within the block."""
    with _in_memory(args) as (address, size):
        yield prepared("clone3", address, size)


@contextmanager
def _in_memory(args: Clone3) -> Iterator[tuple[int, int]]:
    """Address and size of struct clone_args, with the array that it leads to."""
    array = (ctypes.c_int * max(1, len(args.set_tid)))(*args.set_tid)
    raw = args.pack(ctypes.addressof(array))
    buffer = ctypes.create_string_buffer(raw, len(raw))
    yield ctypes.addressof(buffer), len(raw)


def clone_call(args: Clone3) -> RawCall:
    """clone(2) with *args*, as far as it can say the same: no PIDs, no flag above 32 bits, no CLONE_NEWTIME.

    The order of the last two arguments is that of x86-64; on machines with CONFIG_CLONE_BACKWARDS they are exchanged.
    """
    top = args.stack + args.stack_size
    return prepared("clone", args.flags | args.exit_signal, top, args.parent_tid, args.child_tid, args.tls)


def why_no_set_tid() -> str | None:
    """Why clone3 with set_tid cannot be had here, in words; None if it can.

    Asked by a call that cannot succeed: an array of no entries is EINVAL for a kernel that looks at it (the question
    is CRIU's). Whether the caller has the right to choose PIDs is another question.
    """
    words = [0] * (_STRUCT_SIZE // 8)
    words[8] = (1 << 64) - 1  # set_tid
    buffer = (ctypes.c_ulong * len(words))(*words)
    try:
        syscall("clone3", ctypes.addressof(buffer), 80)  # CLONE_ARGS_SIZE_VER1, of 5.5
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        if error.errno == errno.E2BIG:
            return "clone3 of this kernel has no set_tid (it came with Linux 5.5)"
        if error.errno == errno.ENOSYS:
            return "clone3 is missing, or hidden by a seccomp filter"
        return f"clone3 is forbidden by a seccomp filter ({error.strerror})"
    raise AssertionError("clone3 has accepted an address without a size")
