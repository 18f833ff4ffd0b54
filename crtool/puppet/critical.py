"""Taking a stopped thread out of a critical section of rseq(2).

A critical section is a stretch of code that must not be interrupted: a thread that was preempted or got a signal in
it is sent to its abort handler by the kernel when it comes back to user mode. The thread says that it is in
one by a pointer in its rseq area.

crtool makes a held thread run other code. The kernel then sees it outside the section, drops the pointer, and would
not abort the section when the thread is back in it, perhaps on another CPU. So crtool does first what the
kernel is free to do at any stop: it sends the thread to the abort handler.

1. The registers are set to the abort handler. If crtool dies now, the kernel finds the thread
   outside the section and drops the pointer.
2. Only then the pointer is dropped: the other way round, a death in between would leave the
   thread within a section that nobody aborts any more.

Source: rseq(2), include/uapi/linux/rseq.h, rseq_ip_fixup() in kernel/rseq.c.
"""

from __future__ import annotations

from contextlib import suppress

from crtool.abi.rseq import RSEQ_CS, RSEQ_CS_OFFSET
from crtool.arch import cpu
from crtool.kernel import process, ptrace

__all__ = ["abort_critical_section", "leave_critical_section"]


def abort_critical_section(ip: int, rseq_cs: bytes) -> int:
    """Where a thread at *ip* has to go on that has announced the section *rseq_cs* (struct rseq_cs).

    That is its abort handler if *ip* is within, else *ip*.
    """
    _version, _flags, start, length, abort = RSEQ_CS.unpack_from(rseq_cs)
    return abort if 0 <= ip - start < length else ip


def leave_critical_section(tid: int, area: int, registers: cpu.Registers) -> bool:
    """Sends the stopped thread *tid*, whose rseq area is at *area*, out of a critical section that it is in.

    Changes *registers*, which are those of the thread, and says whether it did. *area* 0 is a thread without an
    area. A pointer to nowhere is left to the kernel, which will kill the thread for it as it would have done.
    """
    if not area:
        return False
    try:
        pointer = int.from_bytes(process.read_memory(tid, area + RSEQ_CS_OFFSET, 8), "little")
        if not pointer:
            return False
        ip = abort_critical_section(registers.ip, process.read_memory(tid, pointer, RSEQ_CS.size))
    except OSError:
        return False
    if ip == registers.ip:
        return False
    registers.ip = ip
    registers.leave_kernel()
    ptrace.set_registers(tid, registers)
    with suppress(OSError):  # the kernel drops it too, at the next return to user mode
        process.write_memory(tid, area + RSEQ_CS_OFFSET, bytes(8))
    return True
