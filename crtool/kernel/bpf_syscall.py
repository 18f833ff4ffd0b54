"""BPF programs that a process runs by itself (BPF_PROG_TYPE_SYSCALL, since 5.14), never attached to anything.

They take CAP_BPF and CAP_PERFMON over the machine, and to read the kernel's memory, a kernel that is not locked down
for confidentiality. Source: man 2 bpf, include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import struct

from crtool.kernel.bpf import bpf

__all__ = ["load", "run"]

_PROG_LOAD, _PROG_RUN = 5, 10
_SYSCALL, _SLEEPABLE = 31, 1 << 4
_RUN = struct.Struct("<I36xI4xQ")  # union bpf_attr: prog_fd, ctx_size_in, ctx_in


def load(program: bytes) -> int:
    """A descriptor (close-on-exec) of *program*; raises OSError."""
    code, licence = ctypes.create_string_buffer(program), ctypes.create_string_buffer(b"GPL")
    addresses = ctypes.addressof(code), ctypes.addressof(licence)
    return bpf(_PROG_LOAD, struct.pack("<IIQQIIQII", _SYSCALL, len(program) // 8, *addresses, 0, 0, 0, 0, _SLEEPABLE))


def run(program: int, talk: ctypes.Array[ctypes.c_char]) -> None:
    """Runs it once; *talk* is what it is given, and where it writes what it gives. Raises OSError."""
    bpf(_PROG_RUN, _RUN.pack(program, len(talk), ctypes.addressof(talk)))
