"""Rings of packet sockets (PACKET_RX_RING, PACKET_TX_RING): where the kernel is in them.

Source: Documentation/networking/packet_mmap.rst, include/uapi/linux/if_packet.h. The kernel's place is shown nowhere;
it stands in struct packet_sock (net/packet/internal.h), which a BPF iterator reads.
"""

from __future__ import annotations

import functools
import os
import struct

from crtool.kernel import bpf_iter, btf
from crtool.kernel.bpf_iter import R7, R8, R9, R10, Program
from crtool.kernel.syscall import syscall

__all__ = ["heads", "settle"]

_MEMBARRIER_CMD_GLOBAL = 1
_FUNCTION = "bpf_iter_task_file"


class _Reader:
    """The program, loaded once. It looks at descriptor *slot* of this process."""

    def __init__(self) -> None:
        types = btf.read(("file", "socket", "packet_sock", _FUNCTION))
        self._way = [types.member("file", "private_data").offset, types.member("socket", "sk").offset]
        self._heads = [types.member("packet_sock", f"{name}_ring.head").offset for name in ("rx", "tx")]
        self._slot = bpf_iter.Slot()
        self._fd = bpf_iter.load(self._program(), types.function(_FUNCTION))

    def _program(self) -> Program:
        program = self._slot.program()
        program.copy(R8, R7)
        for offset in self._way:
            program.read_kernel(8, 8, R8, offset)
            program.load(R8, R10, -8)
        for offset in self._heads:
            program.read_kernel(8, 4, R8, offset)
            program.write(R9, 8, 4)
        program.end()
        return program

    def heads(self, fd: int) -> tuple[int, int]:
        """See :func:`heads`."""
        found = self._slot.look(self._fd, fd)
        if len(found) != 8:
            raise OSError(0, "the kernel does not let it be read")
        received, sent = struct.unpack("<II", found)
        return received, sent


@functools.cache
def _reader(_pid: int) -> _Reader:
    try:
        return _Reader()
    except KeyError as error:  # an older kernel, one without type information, or with packet sockets in a module
        raise OSError(0, f"the kernel does not tell of {error.args[0]}") from None


def heads(fd: int) -> tuple[int, int]:
    """The frames of both rings of packet socket *fd*, a descriptor of ours, that the kernel uses next; OSError if it
    cannot be asked.
    """
    return _reader(os.getpid()).heads(fd)


def settle() -> None:
    """Waits until each frame that is just being received has its content and its status; raises OSError.

    tpacket_rcv() in the kernel's net/packet/af_packet.c goes on to the next place first, and fills a frame then. It
    runs in a read-side section of RCU, for whose end membarrier(2) waits.
    """
    syscall("membarrier", _MEMBARRIER_CMD_GLOBAL, 0, 0)
