"""ptrace(2): one function for each request that crtool uses.

All take the TID of a tracee that this very thread has seized. A tracee that has vanished raises
TargetDied; everything else that the kernel refuses is an OSError.
"""

from __future__ import annotations

import ctypes
import errno
import struct

from crtool.abi import ptrace as abi
from crtool.abi.signals import SIGINFO_SIZE
from crtool.arch import cpu
from crtool.errors import TargetDied
from crtool.kernel.syscall import syscall

__all__ = [
    "cont",
    "detach",
    "event_message",
    "fpu",
    "interrupt",
    "listen",
    "queued_signals",
    "registers",
    "rseq",
    "seccomp_filter",
    "seccomp_flags",
    "seize",
    "set_fpu",
    "set_options",
    "set_registers",
    "set_signal_mask",
    "siginfo",
    "signal_mask",
    "tells_rseq",
    "to_next_syscall_stop",
    "user_dispatch",
]

_MAX_XSTATE = 16384  # XSAVE areas reach 11 KiB with AMX


def _ptrace(request: int, tid: int, addr: int = 0, data: int = 0) -> int:
    try:
        return syscall("ptrace", request, tid, addr, data)
    except OSError as error:
        if error.errno == errno.ESRCH:
            raise TargetDied(tid) from None
        raise


def seize(tid: int, options: int) -> None:
    """PTRACE_SEIZE: becomes the tracer of *tid* without stopping it."""
    _ptrace(abi.SEIZE, tid, 0, options)


def interrupt(tid: int) -> None:
    """PTRACE_INTERRUPT: asks a seized task to stop."""
    _ptrace(abi.INTERRUPT, tid)


def set_options(tid: int, options: int) -> None:
    """PTRACE_SETOPTIONS, of a stopped task."""
    _ptrace(abi.SETOPTIONS, tid, 0, options)


def cont(tid: int, signal: int = 0) -> None:
    """PTRACE_CONT: lets the task run, with *signal* delivered to it if it is not 0."""
    _ptrace(abi.CONT, tid, 0, signal)


def to_next_syscall_stop(tid: int, signal: int = 0) -> None:
    """PTRACE_SYSCALL: lets the task run to its next entry into or exit from a system call."""
    _ptrace(abi.SYSCALL, tid, 0, signal)


def listen(tid: int) -> None:
    """PTRACE_LISTEN: leaves a task in group-stop, but lets SIGCONT through to it."""
    _ptrace(abi.LISTEN, tid)


def detach(tid: int, signal: int = 0) -> None:
    """PTRACE_DETACH: lets the task go."""
    _ptrace(abi.DETACH, tid, 0, signal)


def event_message(tid: int) -> int:
    """PTRACE_GETEVENTMSG: the new TID (in our PID namespace) after an event of clone."""
    message = ctypes.c_ulong()
    _ptrace(abi.GETEVENTMSG, tid, 0, ctypes.addressof(message))
    return message.value


def _get_regset(tid: int, kind: int, size: int) -> bytes:
    buffer = ctypes.create_string_buffer(size)
    iovec = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), size)
    _ptrace(abi.GETREGSET, tid, kind, ctypes.addressof(iovec))
    return buffer.raw[: iovec[1]]


def _set_regset(tid: int, kind: int, content: bytes) -> None:
    buffer = ctypes.create_string_buffer(content, len(content))
    iovec = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), len(content))
    _ptrace(abi.SETREGSET, tid, kind, ctypes.addressof(iovec))


def registers(tid: int) -> cpu.Registers:
    """The general registers of a stopped task."""
    return cpu.Registers(_get_regset(tid, abi.NT_PRSTATUS, cpu.Registers.SIZE))


def set_registers(tid: int, registers: cpu.Registers) -> None:
    """Sets the general registers of a stopped task."""
    _set_regset(tid, abi.NT_PRSTATUS, registers.pack())


def fpu(tid: int) -> bytes:
    """The whole extended state (x87, SSE, AVX…) as an XSAVE area in its standard format."""
    return _get_regset(tid, abi.NT_X86_XSTATE, _MAX_XSTATE)


def set_fpu(tid: int, content: bytes) -> None:
    """Sets the extended state from what :func:`fpu` gave."""
    _set_regset(tid, abi.NT_X86_XSTATE, content)


def signal_mask(tid: int) -> int:
    """The set of blocked signals."""
    mask = ctypes.c_ulong()
    _ptrace(abi.GETSIGMASK, tid, 8, ctypes.addressof(mask))
    return mask.value


def set_signal_mask(tid: int, mask: int) -> None:
    """Sets the set of blocked signals."""
    word = ctypes.c_ulong(mask)
    _ptrace(abi.SETSIGMASK, tid, 8, ctypes.addressof(word))


def siginfo(tid: int) -> bytes:
    """siginfo_t of the signal with which the task has stopped (128 bytes)."""
    buffer = ctypes.create_string_buffer(SIGINFO_SIZE)
    _ptrace(abi.GETSIGINFO, tid, 0, ctypes.addressof(buffer))
    return buffer.raw


def queued_signals(tid: int, *, shared: bool) -> tuple[bytes, ...]:
    """siginfo_t of every queued signal, oldest first: those of the process, or of this thread alone."""
    found: list[bytes] = []
    count = 32
    buffer = ctypes.create_string_buffer(SIGINFO_SIZE * count)
    while True:
        # struct ptrace_peeksiginfo_args: u64 off, u32 flags, s32 nr
        args = ctypes.create_string_buffer(
            struct.pack("<QIi", len(found), abi.PEEKSIGINFO_SHARED if shared else 0, count), 16
        )
        got = _ptrace(abi.PEEKSIGINFO, tid, ctypes.addressof(args), ctypes.addressof(buffer))
        raw = buffer.raw
        found.extend(raw[i * SIGINFO_SIZE : (i + 1) * SIGINFO_SIZE] for i in range(got))
        if got < count:
            return tuple(found)


def rseq(tid: int) -> tuple[int, int, int]:
    """PTRACE_GET_RSEQ_CONFIGURATION (since 5.13): address, size and signature of the registered rseq area.

    All zero where none is registered or the kernel has no rseq.
    """
    return _rseq_configuration(tid) or (0, 0, 0)


def tells_rseq(tid: int) -> bool:
    """Whether the kernel tells what :func:`rseq` asks for."""
    return _rseq_configuration(tid) is not None


def _rseq_configuration(tid: int) -> tuple[int, int, int] | None:
    # struct ptrace_rseq_configuration: u64 pointer, u32 size, u32 signature, u32 flags, u32 pad
    buffer = ctypes.create_string_buffer(24)
    try:
        _ptrace(abi.GET_RSEQ_CONFIGURATION, tid, 24, ctypes.addressof(buffer))
    except OSError as error:
        if error.errno in (errno.EIO, errno.EINVAL):
            return None
        raise
    pointer, size, signature = struct.unpack_from("<QII", buffer.raw)
    return pointer, size, signature


def user_dispatch(tid: int) -> bool:
    """PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG (since 6.4): whether the task handles its own system calls by SIGSYS."""
    buffer = ctypes.create_string_buffer(32)  # struct ptrace_sud_config: u64 mode, selector, offset, len
    try:
        _ptrace(abi.GET_SYSCALL_USER_DISPATCH_CONFIG, tid, 32, ctypes.addressof(buffer))
    except OSError as error:
        if error.errno in (errno.EIO, errno.EINVAL):
            return False
        raise
    return bool(struct.unpack_from("<Q", buffer.raw)[0])


def seccomp_filter(tid: int, index: int) -> bytes | None:
    """PTRACE_SECCOMP_GET_FILTER: the classic BPF program number *index*; None past the last.

    Number 0 is the oldest, whatever ptrace(2) says: get_nth_filter() in kernel/seccomp.c.
    """
    try:
        length = _ptrace(abi.SECCOMP_GET_FILTER, tid, index, 0)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    buffer = ctypes.create_string_buffer(length * 8)
    _ptrace(abi.SECCOMP_GET_FILTER, tid, index, ctypes.addressof(buffer))
    return buffer.raw


def seccomp_flags(tid: int, index: int) -> int:
    """PTRACE_SECCOMP_GET_METADATA: SECCOMP_FILTER_FLAG_LOG if the filter logs."""
    buffer = ctypes.create_string_buffer(struct.pack("<QQ", index, 0), 16)
    _ptrace(abi.SECCOMP_GET_METADATA, tid, 16, ctypes.addressof(buffer))
    flags: int = struct.unpack_from("<Q", buffer.raw, 8)[0]
    return flags
