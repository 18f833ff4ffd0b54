"""Contexts of asynchronous input and output (io_setup(2)) of a process that this thread traces.

No interface shows how many requests are on their way, and none could be asked without making some: their results would
be in the ring, before the eyes of the program. The kernel itself counts a reference for each of them, which is dropped
when the result is in the ring and whoever waits has been told. It is read where it is (:mod:`crtool.kernel.peek`),
which the program cannot notice. That the numbers are what they are taken for is tried on a context of our own first.

Source: struct kioctx in fs/aio.c, include/linux/percpu-refcount.h.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from functools import cache

from crtool.abi.aio import CMD_POLL, IOCB, entries
from crtool.kernel import btf
from crtool.kernel.btf import Types
from crtool.kernel.peek import STRUCTURES, Peek
from crtool.kernel.syscall import syscall
from crtool.record import dataclass

__all__ = ["Context", "any_there", "contexts", "possible_cpus", "why_not"]

_STRUCTURES = (*STRUCTURES, "task_struct", "pid", "upid", "mm_struct", "kioctx_table", "kioctx", "percpu_ref")
_PERCPU_FLAGS = 3  # __PERCPU_REF_ATOMIC, __PERCPU_REF_DEAD
_OWN = 1  # reference of the context itself, ioctx_alloc()
_SIGN, _ALL = 1 << 63, 1 << 64
_POLLIN = 1


@dataclass(frozen=True)
class Context:
    """One context."""

    address: int  # of its ring; aio_context_t
    size: int  # bytes of the ring
    entries: int  # of the ring
    tail: int  # where the next result goes
    in_flight: int  # requests that have been taken, and of which not everybody has been told


def any_there() -> bool:
    """Whether any process of the machine has a context."""
    try:
        with open("/proc/sys/fs/aio-nr", "rb") as file:
            return file.read().strip() != b"0"
    except OSError:
        return True


@cache
def possible_cpus() -> tuple[int, ...]:
    """The numbers of the CPUs that this kernel is prepared for."""
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        parts = [part.split("-") for part in file.read().strip().split(",")]
    return tuple(number for part in parts for number in range(int(part[0]), int(part[-1]) + 1))


@cache
def _types() -> Types:
    return btf.read(_STRUCTURES)


@cache
def why_not() -> str | None:
    """Why contexts cannot be looked at here, None if they can."""

    def trial() -> str | None:
        with Peek(_types()) as peek:
            return _trial(_Kernel(peek))

    return btf.why_not(trial)


def _trial(kernel: _Kernel) -> str | None:
    """Looks at a context of this process without and with a request in flight."""
    context = ctypes.c_ulong()
    try:
        syscall("io_setup", 1, ctypes.addressof(context))
    except BlockingIOError:
        return "there is no room for one more context (fs.aio-max-nr)"
    never = os.eventfd(0, os.EFD_CLOEXEC)
    try:
        idle = kernel.own(context.value)
        request = ctypes.create_string_buffer(IOCB.pack(0, 0, 0, CMD_POLL, 0, never, _POLLIN, 0, 0, 0, 0, 0))
        pointer = ctypes.c_ulong(ctypes.addressof(request))
        syscall("io_submit", context.value, 1, ctypes.addressof(pointer))
        busy = kernel.own(context.value)
        os.eventfd_write(never, 1)
    finally:
        syscall("io_destroy", context.value)  # waits for the request
        os.close(never)
    if (idle.in_flight, busy.in_flight, idle.tail, idle.entries) != (0, 1, 0, entries(idle.size)):
        return "this kernel counts requests in another way"
    return None


def contexts(tid: int) -> tuple[Context, ...]:
    """Of the process of thread *tid*, which this thread traces; OSError if they cannot be looked at."""
    with Peek(_types()) as peek:
        return tuple(_Kernel(peek).traced(tid))


class _Kernel:
    """Finds its way from this thread to the contexts of another."""

    def __init__(self, peek: Peek) -> None:
        types = _types()
        self._peek = peek
        self._traced = types.offset("task_struct", "ptraced")
        self._entry = types.offset("task_struct", "ptrace_entry")
        self._pid = types.offset("task_struct", "thread_pid")
        self._memory = types.offset("task_struct", "mm")
        self._level = types.offset("pid", "level")
        self._numbers = types.offset("pid", "numbers")
        self._number = types.offset("upid", "nr")
        self._number_size = types.size("upid")
        self._table = types.offset("mm_struct", "ioctx_table")
        self._count = types.offset("kioctx_table", "nr")
        self._entries = types.offset("kioctx_table", "table")
        self._address = types.offset("kioctx", "user_id")
        self._size = types.offset("kioctx", "mmap_size")
        self._room = types.offset("kioctx", "nr_events")
        self._tail = types.offset("kioctx", "tail")
        self._references = types.offset("kioctx", "reqs") + types.offset("percpu_ref", "percpu_count_ptr")

    def _tracee(self, tid: int) -> int:
        """struct task_struct of *tid*, by which this thread knows it."""
        peek = self._peek
        level = peek.half(peek.word(peek.current + self._pid) + self._level)
        head = peek.current + self._traced
        place = peek.word(head)
        while place != head:
            task = place - self._entry
            number = peek.word(task + self._pid) + self._numbers + level * self._number_size + self._number
            if peek.half(number) == tid:
                return task
            place = peek.word(place)
        raise ProcessLookupError(3, f"TID {tid} is not traced by this thread")

    def traced(self, tid: int) -> Iterator[Context]:
        """The contexts of the process of thread *tid*, which this thread traces."""
        return self._contexts(self._tracee(tid))

    def own(self, address: int) -> Context:
        """That of this process which is at *address*."""
        for context in self._contexts(self._peek.current):
            if context.address == address:
                return context
        raise KeyError("context of that address")

    def _contexts(self, task: int) -> Iterator[Context]:
        peek = self._peek
        memory = peek.word(task + self._memory)
        if not memory or not (table := peek.word(memory + self._table)):
            return
        for number in range(peek.half(table + self._count)):
            context = peek.word(table + self._entries + 8 * number)
            if context:
                # First: what is done meanwhile must have moved the tail that is read.
                in_flight = self._in_flight(peek.word(context + self._references))
                yield Context(
                    address=peek.word(context + self._address),
                    size=peek.word(context + self._size),
                    entries=peek.half(context + self._room),
                    tail=peek.half(context + self._tail),
                    in_flight=in_flight,
                )

    def _in_flight(self, pointer: int) -> int:
        """The references to requests, from what each CPU has counted.

        A process that stands still makes no new ones, and what is counted meanwhile only lessens their number: so it
        is right if it is none.
        """
        if pointer & _PERCPU_FLAGS:
            return 1  # it is being torn down
        total = sum(self._peek.word(self._peek.on_cpu(pointer, cpu)) for cpu in possible_cpus()) % _ALL
        return (total - _ALL if total & _SIGN else total) - _OWN
