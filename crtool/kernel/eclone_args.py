"""What eclone() is given: struct clone_args in both of its revisions, and the array of PIDs.

Either may be a Python value or the address of one in this process; what cannot be read is EFAULT. The revision is told
by ``args_size`` alone: 56 bytes as in the article that introduced the call, 48 in its last form.
"""

from __future__ import annotations

import errno
import operator
import os
from collections.abc import Iterable, Sized

from crtool.abi import eclone as abi
from crtool.kernel.process import read_memory
from crtool.record import dataclass

__all__ = ["Args", "CloneArgs", "CloneArgsV12", "Pids", "decode", "decode_pids", "refusal"]

_WORD = 1 << 64


@dataclass(frozen=True)
class CloneArgs:
    """struct clone_args of the last revision, 48 bytes."""

    clone_flags_high: int = 0  # must be 0
    child_stack: int = 0  # address of its upper end; 0: that of the caller
    child_stack_size: int = 0  # must be 0
    parent_tid_ptr: int = 0  # address, for CLONE_PARENT_SETTID
    child_tid_ptr: int = 0  # address, for CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID
    nr_pids: int | None = None  # None: as many as there are in pids
    reserved0: int = 0  # must be 0

    def pack(self, pids: int = 0) -> bytes:
        """The structure, for an array of *pids* entries if nr_pids does not say."""
        count = pids if self.nr_pids is None else self.nr_pids
        words = (self.clone_flags_high, self.child_stack, self.child_stack_size)
        return abi.ECLONE_ARGS.pack(*words, self.parent_tid_ptr, self.child_tid_ptr, count, self.reserved0)


@dataclass(frozen=True)
class CloneArgsV12:
    """struct clone_args as the article has it, 56 bytes."""

    clone_flags_high: int = 0  # must be 0
    child_stack_base: int = 0  # lowest address; 0: the stack of the caller, whatever the size says
    child_stack_size: int = 0  # bytes
    parent_tid_ptr: int = 0  # address, for CLONE_PARENT_SETTID
    child_tid_ptr: int = 0  # address, for CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID
    nr_pids: int | None = None  # None: as many as there are in pids
    reserved0: int = 0  # must be 0
    reserved1: int = 0  # must be 0

    def pack(self, pids: int = 0) -> bytes:
        """The structure, for an array of *pids* entries if nr_pids does not say."""
        count = pids if self.nr_pids is None else self.nr_pids
        words = (self.clone_flags_high, self.child_stack_base, self.child_stack_size)
        tail = (self.parent_tid_ptr, self.child_tid_ptr, count, self.reserved0, self.reserved1)
        return abi.ECLONE_ARGS_V12.pack(*words, *tail)


Args = CloneArgs | CloneArgsV12 | bytes | bytearray | memoryview | int | None
"""The structure: as an object, as its bytes, or its address; None is the null pointer."""

Pids = Iterable[int] | bytes | bytearray | memoryview | int | None
"""The PIDs, outermost namespace first: as numbers, as bytes of pid_t, or their address; None is the null pointer."""


@dataclass(frozen=True)
class Decoded:
    """What both revisions say, with a stack as clone3 wants it."""

    stack: int  # lowest address, or 0
    stack_size: int  # bytes
    parent_tid: int
    child_tid: int
    nr_pids: int


def refusal(number: int, why: str) -> OSError:
    """What eclone() raises: *number* is its errno, *why* one line that says what is wrong."""
    return OSError(number, f"eclone: {why}")


def decode(args: Args, args_size: int | None, pids: Pids) -> Decoded:
    """Reads the structure and checks its fields, in the order in which the kernel patch did."""
    size = _size_of(args) if args_size is None else args_size
    if size not in (abi.ECLONE_ARGS.size, abi.ECLONE_ARGS_V12.size):
        sizes = f"{abi.ECLONE_ARGS.size} or {abi.ECLONE_ARGS_V12.size}"
        raise refusal(errno.EINVAL, f"args_size is {size}, but struct clone_args has {sizes} bytes")
    if isinstance(args, (CloneArgs, CloneArgsV12)):
        args = args.pack(_count(pids))
    raw = _memory(args, size, "args")
    if size == abi.ECLONE_ARGS_V12.size:
        high, base, stack_size, parent_tid, child_tid, nr_pids, reserved0, reserved1 = abi.ECLONE_ARGS_V12.unpack(raw)
        stack = (base, stack_size) if base else (0, 0)
    else:
        high, top, stack_size, parent_tid, child_tid, nr_pids, reserved0 = abi.ECLONE_ARGS.unpack(raw)
        reserved1 = 0
        # The kernel adds base and size, and looks at nothing else: any size that is mapped will do, and one word is.
        stack = (top - 8, 8) if top else (0, 0)
    for name, value in (("reserved0", reserved0), ("reserved1", reserved1), ("clone_flags_high", high)):
        if value:
            raise refusal(errno.EINVAL, f"{name} is {value:#x} and must be 0")
    if size == abi.ECLONE_ARGS.size and stack_size:
        raise refusal(
            errno.EINVAL, f"child_stack_size is {stack_size} and must be 0: child_stack is the top of the stack"
        )
    return Decoded(stack[0], stack[1], parent_tid, child_tid, nr_pids)


def decode_pids(pids: Pids, count: int) -> tuple[int, ...]:
    """The first *count* entries of the array; EFAULT if there are fewer."""
    if count == 0:
        return ()
    if isinstance(pids, (bytes, bytearray, memoryview, int, type(None))):
        raw = _memory(pids, count * abi.PID_T.size, "pids")
        return tuple(number for (number,) in abi.PID_T.iter_unpack(raw))
    numbers = tuple(map(operator.index, pids))
    if len(numbers) < count:
        raise refusal(errno.EFAULT, f"nr_pids is {count}, but pids has {len(numbers)} entries")
    return numbers[:count]


def _count(pids: Pids) -> int:
    """The length of the array, where it has one."""
    if isinstance(pids, (bytes, bytearray, memoryview)):
        return len(pids) // abi.PID_T.size
    return len(pids) if isinstance(pids, Sized) else 0


def _size_of(args: Args) -> int:
    match args:
        case CloneArgs():
            return abi.ECLONE_ARGS.size
        case CloneArgsV12():
            return abi.ECLONE_ARGS_V12.size
        case bytes() | bytearray() | memoryview():
            return len(args)
        case _:
            raise TypeError("args_size is needed where args is an address")


def _memory(source: bytes | bytearray | memoryview | int | None, size: int, name: str) -> bytes:
    """*size* bytes of what the caller has given, or of what is at that address of this process."""
    if not isinstance(source, (int, type(None))):
        if len(source) < size:
            raise refusal(errno.EFAULT, f"{name} has {len(source)} of {size} bytes")
        return bytes(source[:size])
    address = source or 0
    if not 0 < address < _WORD:
        raise refusal(errno.EFAULT, f"{name} is {'the null pointer' if address == 0 else f'no address: {address}'}")
    try:
        # Not ctypes.string_at: a wrong address must be an error here, as it is in the kernel, not our death.
        return read_memory(os.getpid(), address, size)
    except OSError as error:
        if error.errno != errno.EFAULT:
            raise
        raise refusal(errno.EFAULT, f"{name} at {address:#x} cannot be read") from None
