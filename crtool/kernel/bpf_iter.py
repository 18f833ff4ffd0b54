"""BPF iterators: small programs that the kernel runs for each open file, or each task, to write down what they see.

Sources: Documentation/bpf/bpf_iterators.rst, include/uapi/linux/bpf.h. The program only reads. It takes CAP_BPF and
CAP_PERFMON, and a kernel that is not locked down.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct

from crtool.kernel.bpf import bpf

__all__ = [
    "FILE", "R0", "R1", "R2", "R3", "R6", "R7", "R8", "R9", "R10", "TASK", "VMA",
    "Program", "Slot", "load", "run",
]  # fmt: skip

_PROG_LOAD, _LINK_CREATE, _ITER_CREATE = 5, 28, 33
_TRACING, _TRACE_ITER = 26, 28  # BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER
_CURRENT, _READ_KERNEL, _SEQ_WRITE = 35, 113, 127  # helpers: bpf_get_current_task, bpf_probe_read_kernel, bpf_seq_write
_INSTRUCTION = struct.Struct("<BBhi")  # code, registers, offset, immediate
_LOAD = struct.Struct("<IIQQIIQII16sIIIIQIIQII")
R0, R1, R2, R3, R6, R7, R8, R9, R10 = 0, 1, 2, 3, 6, 7, 8, 9, 10
TASK, VMA, FILE = 8, 16, 24
"""Where an iterator's context has what it is about: bpf_iter__task, bpf_iter__task_vma, bpf_iter__task_file."""


class Program:
    """Instructions, one after the other. Its stack of 512 bytes ends at R10."""

    def __init__(self) -> None:
        self.code = b""

    @classmethod
    def of_each(cls, what: int) -> Program:
        """The beginning of an iterator's: R7 is the address of a :data:`TASK`, :data:`VMA` or :data:`FILE`.

        R6 is the context, R9 what writes down. It ends where there is none, which is the end of the iteration.
        """
        program = cls()
        program.copy(R6, R1)
        program.load(R7, R6, what)
        program.end_if(R7, 0)
        program.load(R9, R6, 0)
        program.load(R9, R9, 0)  # meta->seq
        return program

    def _add(self, code: int, to: int = 0, source: int = 0, offset: int = 0, immediate: int = 0) -> None:
        self.code += _INSTRUCTION.pack(code, to | source << 4, offset, immediate)

    @property
    def here(self) -> int:
        """The number of the next instruction."""
        return len(self.code) // _INSTRUCTION.size

    def copy(self, to: int, source: int) -> None:
        """to = source."""
        self._add(0xBF, to, source)

    def put(self, to: int, value: int) -> None:
        """to = value."""
        self._add(0xB7, to, immediate=value)

    def add(self, to: int, value: int) -> None:
        """to += value."""
        self._add(0x07, to, immediate=value)

    def add_register(self, to: int, other: int) -> None:
        """to += other."""
        self._add(0x0F, to, other)

    def shift_left(self, to: int, bits: int) -> None:
        """to <<= bits."""
        self._add(0x67, to, immediate=bits)

    def shift_right(self, to: int, bits: int) -> None:
        """to >>= bits, without a sign."""
        self._add(0x77, to, immediate=bits)

    def load(self, to: int, address: int, offset: int) -> None:
        """to = the 64 bits at address + offset."""
        self._add(0x79, to, address, offset)

    def load_word(self, to: int, address: int, offset: int) -> None:
        """to = the 32 bits at address + offset."""
        self._add(0x61, to, address, offset)

    def store(self, address: int, offset: int, source: int) -> None:
        """The 64 bits at address + offset = source."""
        self._add(0x7B, address, source, offset)

    def end(self) -> None:
        """Returns 0: on to the next."""
        self.put(R0, 0)
        self._add(0x95)

    def end_unless(self, register: int, value: int) -> None:
        """Returns unless register == value."""
        self._add(0x15, register, offset=2, immediate=value)
        self.end()

    def end_if(self, register: int, value: int) -> None:
        """Returns if register == value."""
        self._add(0x55, register, offset=2, immediate=value)
        self.end()

    def jump_if(self, register: int, value: int, over: int) -> None:
        """Skips *over* instructions if register == value."""
        self._add(0x15, register, offset=over, immediate=value)

    def back_if_less(self, register: int, value: int, to: int) -> None:
        """Goes back to instruction *to* if register < value."""
        self._add(0xA5, register, offset=to - self.here - 1, immediate=value)

    def read_kernel(self, place: int, size: int, address: int, offset: int = 0) -> None:
        """Copies *size* bytes of kernel memory to R10 − *place*; R0 becomes 0 if that can be done, else they are 0."""
        self.copy(R1, R10)
        self.add(R1, -place)
        self.put(R2, size)
        self.copy(R3, address)
        self.add(R3, offset)
        self._add(0x85, immediate=_READ_KERNEL)

    def current(self) -> None:
        """R0 = the calling thread's struct task_struct."""
        self._add(0x85, immediate=_CURRENT)

    def write(self, file: int, place: int, size: int) -> None:
        """Writes down the *size* bytes at R10 − *place*."""
        self.copy(R1, file)
        self.copy(R2, R10)
        self.add(R2, -place)
        self.put(R3, size)
        self._add(0x85, immediate=_SEQ_WRITE)


def load(program: Program, over: int) -> int:
    """A descriptor (close-on-exec) of *program*, to be run for each of what an iterator goes through; raises OSError.

    *over*: the type ID of the kernel's function bpf_iter_task_file, bpf_iter_task…
    """
    code = ctypes.create_string_buffer(program.code, len(program.code))
    licence = ctypes.create_string_buffer(b"GPL")
    attr = _LOAD.pack(
        _TRACING, program.here, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0, 0, b"crtool", 0,
        _TRACE_ITER, 0, 0, 0, 0, 0, 0, 0, over,
    )  # fmt: skip
    return bpf(_PROG_LOAD, attr)


def run(program: int, pid: int = 0, tid: int = 0) -> bytes:
    """What *program* writes down, of process *pid*, of thread *tid* or of everybody; raises OSError."""
    whom = ctypes.create_string_buffer(struct.pack("<III4x", tid, pid, 0), 16)  # tid, pid, pid_fd
    link = bpf(_LINK_CREATE, struct.pack("<IIIIQI", program, 0, _TRACE_ITER, 0, ctypes.addressof(whom), 16))
    try:
        iterator = bpf(_ITER_CREATE, struct.pack("<II", link, 0))
        try:
            found = b""
            while part := os.read(iterator, 1 << 16):
                found += part
            return found
        finally:
            os.close(iterator)
    finally:
        os.close(link)


class Slot:
    """A descriptor number of this process at which an iterator over open files (bpf_iter_task_file) looks at one."""

    def __init__(self) -> None:
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._number = fcntl.fcntl(null, fcntl.F_DUPFD_CLOEXEC, 3)
        finally:
            os.close(null)

    def program(self) -> Program:
        """The beginning of one: it ends for other files, R7 is the file's address, R9 what writes down."""
        program = Program.of_each(FILE)
        program.load_word(R2, R6, 16)
        program.end_unless(R2, self._number)
        return program

    def look(self, program: int, fd: int) -> bytes:
        """What *program*, loaded, writes down of *fd*; raises OSError."""
        os.dup2(fd, self._number, inheritable=False)
        try:
            return run(program, os.getpid())
        finally:
            null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            os.dup2(null, self._number, inheritable=False)
            os.close(null)
