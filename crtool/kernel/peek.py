"""Reading words of the kernel's memory, by a BPF program that can do nothing else.

The program is of the kind of :mod:`.bpf_syscall`. It asks bpf_probe_read_kernel(), which fails where nothing is mapped
and changes nothing.

Where per-CPU data of a CPU is, is told by an entry of a per-CPU map of ours: the program is given its address on that
CPU, and finds the pointer that is good for all of them in the map itself.

Source: man 7 bpf-helpers, include/uapi/linux/bpf.h, struct bpf_array in include/linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import ExitStack

from crtool.kernel.bpf import bpf
from crtool.kernel.bpf_syscall import load, run
from crtool.kernel.btf import Types

__all__ = ["STRUCTURES", "Peek"]

STRUCTURES = ("bpf_array",)
"""Whose types a Peek has to know."""

_MAP_CREATE = 0
_PERCPU_ARRAY = 6
_READ_KERNEL, _CURRENT, _PERCPU_ELEMENT = 113, 35, 195  # helpers
_MASK = (1 << 64) - 1
# What the program is given and gives: address, CPU; error, word, current task, map, element on that CPU.
_TALK = struct.Struct("<QQqQQQQ")
_START = struct.Struct("<Qq")  # address, error; a block follows
_BLOCK = 256  # bytes that fit on the stack of a program


def _instruction(code: int, to: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | to, offset, value)


def _program(array: int) -> bytes:
    return b"".join(
        (
            _instruction(0xBF, 6, 1),  # r6 = context
            _instruction(0x79, 3, 6, 0),  # r3 = address
            _instruction(0xBF, 1, 10),
            _instruction(0x07, 1, 0, 0, -8),  # r1 = r10 − 8
            _instruction(0xB7, 2, 0, 0, 8),
            _instruction(0x85, 0, 0, 0, _READ_KERNEL),
            _instruction(0x7B, 6, 0, 16),  # error
            _instruction(0x79, 1, 10, -8),
            _instruction(0x7B, 6, 1, 24),  # word
            _instruction(0x85, 0, 0, 0, _CURRENT),
            _instruction(0x7B, 6, 0, 32),  # task
            _instruction(0x18, 1, 1, 0, array),  # r1 = map, BPF_PSEUDO_MAP_FD
            _instruction(0),
            _instruction(0x7B, 6, 1, 40),  # map
            _instruction(0x62, 10, 0, -16, 0),  # key 0
            _instruction(0xBF, 2, 10),
            _instruction(0x07, 2, 0, 0, -16),
            _instruction(0x79, 3, 6, 8),  # r3 = CPU
            _instruction(0x85, 0, 0, 0, _PERCPU_ELEMENT),
            _instruction(0x7B, 6, 0, 48),  # element
            _instruction(0xB7, 0, 0, 0, 0),
            _instruction(0x95),
        )
    )


def _block_program() -> bytes:
    """Copies _BLOCK bytes, by way of its stack, to behind the address and the error that it is given and gives."""
    copies = b"".join(
        _instruction(0x79, 1, 10, place - _BLOCK) + _instruction(0x7B, 6, 1, 16 + place)
        for place in range(0, _BLOCK, 8)
    )
    return b"".join(
        (
            _instruction(0xBF, 6, 1),  # r6 = context
            _instruction(0x79, 3, 6, 0),  # r3 = address
            _instruction(0xBF, 1, 10),
            _instruction(0x07, 1, 0, 0, -_BLOCK),
            _instruction(0xB7, 2, 0, 0, _BLOCK),
            _instruction(0x85, 0, 0, 0, _READ_KERNEL),
            _instruction(0x7B, 6, 0, 8),  # error
            copies,
            _instruction(0xB7, 0, 0, 0, 0),
            _instruction(0x95),
        )
    )


class Peek:
    """As a context manager. OSError if this kernel, or the caller's rights, do not give it."""

    def __init__(self, types: Types) -> None:
        self._stack = ExitStack()
        try:
            array = bpf(_MAP_CREATE, struct.pack("<5I", _PERCPU_ARRAY, 4, 8, 1, 0))
            self._stack.callback(os.close, array)
            self._fd = load(_program(array))
            self._stack.callback(os.close, self._fd)
            self._blocks = load(_block_program())
            self._stack.callback(os.close, self._blocks)
            self.current = self._run(0, 0)[2]  # struct task_struct of the calling thread
            self._pointers = types.offset("bpf_array", "pptrs")
        except BaseException:
            self._stack.close()
            raise
        self._offsets: dict[int, int] = {}  # by CPU

    def _run(self, address: int, cpu: int) -> tuple[int, int, int, int, int]:
        talk = ctypes.create_string_buffer(_TALK.pack(address, cpu, 0, 0, 0, 0, 0), _TALK.size)
        run(self._fd, talk)
        error, word, task, array, element = _TALK.unpack(talk.raw)[2:]
        return error, word, task, array, element

    def word(self, address: int) -> int:
        """The 64 bits at *address*; OSError if nothing is there."""
        error, word, *_ = self._run(address & _MASK, 0)
        if error:
            raise OSError(-error, f"kernel memory at {address:#x}")
        return word

    def block(self, address: int) -> bytes:
        """Some bytes from *address* on, as far as they are in one page; OSError if nothing is there."""
        room = _BLOCK - address % _BLOCK  # which is never in two pages
        talk = ctypes.create_string_buffer(_START.pack(address - _BLOCK + room, 0), _START.size + _BLOCK)
        run(self._blocks, talk)
        if error := _START.unpack_from(talk)[1]:
            raise OSError(-error, f"kernel memory at {address:#x}")
        return talk.raw[-room:]

    def half(self, address: int) -> int:
        """The 32 bits at *address*."""
        return self.word(address) & 0xFFFF_FFFF

    def on_cpu(self, pointer: int, cpu: int) -> int:
        """Where that is, for *cpu*, to which a per-CPU *pointer* leads."""
        if cpu not in self._offsets:
            _, _, _, array, element = self._run(0, cpu)
            self._offsets[cpu] = element - self.word(array + self._pointers)
        return pointer + self._offsets[cpu] & _MASK

    def __enter__(self) -> Peek:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()
