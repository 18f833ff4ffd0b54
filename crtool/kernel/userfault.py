"""userfaultfd(2): whether crtool may have one, and what the kernel knows of one and shows nowhere else.

Neither which process a userfaultfd is of nor which of several watches a mapping can be asked for. Both stand in the
kernel's own structures, struct userfaultfd_ctx (fs/userfaultfd.c) and struct vm_area_struct, which BPF iterators
(:mod:`crtool.kernel.bpf_iter`) write down; BTF tells where in them.
"""

from __future__ import annotations

import fcntl
import functools
import os
import struct

from crtool.abi import userfaultfd as abi
from crtool.kernel import bpf_iter, btf
from crtool.kernel.bpf_iter import R7, R8, R9, R10, TASK, VMA, Program
from crtool.kernel.syscall import syscall
from crtool.record import dataclass

__all__ = ["Area", "Context", "areas", "context", "memory_of", "probe"]

_FUNCTIONS = ("bpf_iter_task_file", "bpf_iter_task_vma", "bpf_iter_task")
_STRUCTURES = ("file", "userfaultfd_ctx", "vm_area_struct", "task_struct")
_CONTEXT = struct.Struct("<QQI4xI4x")  # address, mm, flags, features
_AREA = struct.Struct("<QQQ")  # start, end, context


@dataclass(frozen=True)
class Context:
    """A userfaultfd, as the kernel has it."""

    address: int  # by which the mappings know it
    memory: int  # struct mm_struct that it watches
    flags: int  # of userfaultfd(2): O_* and UFFD_USER_MODE_ONLY
    features: int  # UFFD_FEATURE_*
    ready: bool  # UFFDIO_API has been asked for


@dataclass(frozen=True)
class Area:
    """A mapping that is watched."""

    start: int  # address
    end: int
    context: int  # address of the userfaultfd's structure


class _Reader:
    """The programs, loaded once. That for contexts looks at descriptor *slot* of this process."""

    def __init__(self) -> None:
        types = btf.read((*_STRUCTURES, *_FUNCTIONS))
        self._private = types.member("file", "private_data").offset
        self._context = [types.member("userfaultfd_ctx", name).offset for name in ("mm", "flags", "features")]
        self._area = [types.member("vm_area_struct", name).offset for name in ("vm_start", "vm_end")]
        self._of_area = types.member("vm_area_struct", "vm_userfaultfd_ctx.ctx").offset
        self._memory = types.member("task_struct", "mm").offset
        self._slot = bpf_iter.Slot()
        self._of_files = bpf_iter.load(self._file_program(), types.function(_FUNCTIONS[0]))
        self._of_areas = bpf_iter.load(self._area_program(), types.function(_FUNCTIONS[1]))
        self._of_tasks = bpf_iter.load(self._task_program(), types.function(_FUNCTIONS[2]))

    def _file_program(self) -> Program:
        """Writes down what :data:`_CONTEXT` has."""
        program = self._slot.program()
        program.load(R8, R7, self._private)
        program.store(R10, -8, R8)
        program.write(R9, 8, 8)
        for offset in self._context:
            program.put(R7, 0)
            program.store(R10, -8, R7)
            program.read_kernel(8, 8 if offset == self._context[0] else 4, R8, offset)
            program.write(R9, 8, 8)
        program.end()
        return program

    def _area_program(self) -> Program:
        """Writes down what :data:`_AREA` has, of each mapping that is watched."""
        program = Program.of_each(VMA)
        program.read_kernel(8, 8, R7, self._of_area)
        program.load(R8, R10, -8)
        program.end_if(R8, 0)
        for offset in self._area:
            program.read_kernel(8, 8, R7, offset)
            program.write(R9, 8, 8)
        program.store(R10, -8, R8)
        program.write(R9, 8, 8)
        program.end()
        return program

    def _task_program(self) -> Program:
        """Writes down where the memory of a thread is."""
        program = Program.of_each(TASK)
        program.read_kernel(8, 8, R7, self._memory)
        program.write(R9, 8, 8)
        program.end()
        return program

    def context(self, fd: int) -> Context:
        """See :func:`context`."""
        found = self._slot.look(self._of_files, fd)
        if len(found) != _CONTEXT.size:
            raise OSError(0, "the kernel does not let it be read")
        address, memory, flags, features = _CONTEXT.unpack(found)
        return Context(address, memory, flags, features & ~abi.INITIALIZED, bool(features & abi.INITIALIZED))

    def areas(self, tid: int) -> tuple[Area, ...]:
        """See :func:`areas`."""
        return tuple(Area(*found) for found in _AREA.iter_unpack(bpf_iter.run(self._of_areas, tid=tid)))

    def memory_of(self, tid: int) -> int:
        """See :func:`memory_of`."""
        found = bpf_iter.run(self._of_tasks, tid=tid)
        return int.from_bytes(found[:8], "little")


@functools.cache
def _reader(_pid: int) -> _Reader:
    try:
        return _Reader()
    except KeyError as error:  # an older kernel, or one without type information
        raise OSError(0, f"the kernel does not tell of {error.args[0]}") from None


def context(fd: int) -> Context:
    """What the kernel knows of userfaultfd *fd* of ours; OSError if it cannot be asked."""
    return _reader(os.getpid()).context(fd)


def areas(tid: int) -> tuple[Area, ...]:
    """The mappings of thread *tid*'s process that are watched, in order; OSError if they cannot be asked for."""
    return _reader(os.getpid()).areas(tid)


def memory_of(tid: int) -> int:
    """By which struct mm_struct the kernel knows the memory of thread *tid*, 0 if it has none; raises OSError."""
    return _reader(os.getpid()).memory_of(tid)


def probe(features: int) -> None:
    """OSError if a userfaultfd with UFFD_FEATURE_* *features* cannot be had; it is closed at once."""
    fd = syscall("userfaultfd", os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, abi.UFFDIO_API, abi.API.pack(abi.UFFD_API, features, 0))
    finally:
        os.close(fd)
