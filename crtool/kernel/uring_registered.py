"""What has been registered with a ring of io_uring (io_uring_register(2)): files, buffers, an eventfd, numbers.

Sources: struct io_rsrc_node, io_mapped_ubuf in io_uring/rsrc.h; struct io_ev_fd in io_uring/eventfd.h;
io_file_bitmap_get() in io_uring/filetable.c; memory_model.h in include/asm-generic.

The kernel has addresses of its own structures: a struct file, an eventfd_ctx, a struct page for each page of a buffer.
Whose descriptors these are is told by a BPF iterator, which finds the same addresses behind descriptors. A struct page
stands at its page's number in one large table, whose beginning is seen from a page of our own that we register.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from crtool.kernel import bpf_iter
from crtool.kernel.bpf_iter import FILE, R2, R6, R7, R8, R9, R10, Program
from crtool.kernel.btf import Types
from crtool.kernel.peek import STRUCTURES as PEEK_STRUCTURES
from crtool.kernel.peek import Peek
from crtool.kernel.syscall import syscall
from crtool.record import dataclass

__all__ = ["PLACES", "STRUCTURES", "FixedBuffer", "FixedFile", "Registered", "RegisteredReader", "frames_of"]

STRUCTURES = (*PEEK_STRUCTURES, "io_rsrc_node", "io_mapped_ubuf", "io_ev_fd", "bio_vec", "page")
"""Whose types a reader has to know."""

PLACES = (
    "file_table.data.nr", "file_table.data.nodes", "file_table.alloc_hint", "file_alloc_start", "file_alloc_end",
    "buf_table.nr", "buf_table.nodes", "io_ev_fd",
)  # fmt: skip
"""Members of struct io_ring_ctx that are looked at."""

_KNOWN = {
    "io_rsrc_node": {"type", "refs", "tag", "file_ptr", "buf"},
    "io_mapped_ubuf": {
        "ubuf", "len", "nr_bvecs", "folio_shift", "refs", "acct_pages", "release", "priv", "is_kbuf", "dir", "bvec",
    },
    "io_ev_fd": {"cq_ev_fd", "eventfd_async", "last_cq_tail", "refs", "ops", "rcu"},
}  # fmt: skip
_FILE_FLAGS = 3  # in the lowest bits of file_ptr: FFS_NOWAIT, FFS_ISREG
_BOTH = 3  # IO_IMU_DEST, IO_IMU_SOURCE: to be read and written
_REGISTER_BUFFERS = 0
_MOST_SLOTS = 1 << 20  # IORING_MAX_FIXED_FILES; there are fewer buffers
_FRAME = (1 << 55) - 1  # in an entry of a page map
_WORD = struct.Struct("<Q")


@dataclass(frozen=True)
class FixedFile:
    """A registered file."""

    slot: int
    file: int  # address of its struct file
    tag: int


@dataclass(frozen=True)
class FixedBuffer:
    """A registered buffer."""

    slot: int
    address: int  # in the address space of who has registered it
    length: int  # bytes
    tag: int
    pages: tuple[tuple[int, int], ...]  # number of a frame, and how many there are from it on; in order


@dataclass(frozen=True)
class Registered:
    """All that is registered with a ring."""

    file_slots: int = 0  # 0: no table of files
    files: tuple[FixedFile, ...] = ()
    alloc_start: int = 0  # slots from which the kernel gives out free ones
    alloc_end: int = 0
    hint: int = 0  # … and where it looks first
    buffer_slots: int = 0  # 0: no table of buffers
    buffers: tuple[FixedBuffer, ...] = ()
    kernel_buffers: bool = False  # there are others than memory of a program
    eventfd: int = 0  # address of its context, 0 if there is none
    eventfd_async: bool = False  # it is told only of what was not done at once
    numbers: tuple[tuple[int, int], ...] = ()  # TID, in the kernel's first PID namespace, and the ring's number for it

    @property
    def anything(self) -> bool:
        """Whether there is anything at all."""
        return bool(self.file_slots or self.buffer_slots or self.eventfd or self.numbers)


class RegisteredReader:
    """Reads it. *types* knows STRUCTURES, struct file, and the function bpf_iter_task_file."""

    def __init__(self, types: Types) -> None:
        for name, known in _KNOWN.items():
            if new := sorted(types.members(name) - known):
                raise OSError(0, f"the kernel keeps more in struct {name} than crtool knows: {', '.join(new)}")
        self._types = types
        self._peek = Peek(types)
        self._table = 0  # address of the first struct page, once it is known
        program = Program.of_each(FILE)  # writes down descriptor, file and what is behind it
        program.load_word(R2, R6, 16)
        program.store(R10, -24, R2)
        program.store(R10, -16, R7)
        program.load(R8, R7, types.member("file", "private_data").offset)
        program.store(R10, -8, R8)
        program.write(R9, 24, 24)
        program.end()
        self._files = bpf_iter.load(program, types.function("bpf_iter_task_file"))

    def files(self, pid: int, tid: int = 0) -> dict[int, tuple[int, int]]:
        """The addresses of the files that process *pid*, or its thread *tid* alone, has open, by descriptor, and of
        what is behind each.
        """
        found = bpf_iter.run(self._files, 0 if tid else pid, tid)
        return {fd: (file, private) for fd, file, private in struct.iter_unpack("<3Q", found)}

    def read(self, number: Callable[[str], int], numbers: tuple[tuple[int, int], ...]) -> Registered:
        """Of a ring whose structure has *number* at each of PLACES; OSError where it changes just now."""
        place = self._types.member
        file_slots, buffer_slots = number("file_table.data.nr"), number("buf_table.nr")
        files, buffers, kernels = [], [], False
        pointer, tag = place("io_rsrc_node", "file_ptr").offset, place("io_rsrc_node", "tag").offset
        for slot, node in self._nodes(number("file_table.data.nodes"), file_slots):
            file = self._peek.word(node + pointer) & ~_FILE_FLAGS
            files.append(FixedFile(slot, file, self._peek.word(node + tag)))
        pointer = place("io_rsrc_node", "buf").offset
        for slot, node in self._nodes(number("buf_table.nodes"), buffer_slots):
            buffer = self._buffer(slot, self._peek.word(node + pointer), self._peek.word(node + tag))
            kernels = kernels or buffer is None
            buffers += [] if buffer is None else [buffer]
        eventfd, is_async = number("io_ev_fd"), False
        if eventfd:
            is_async = bool(self._peek.half(eventfd + place("io_ev_fd", "eventfd_async").offset) & 1)
            eventfd = self._peek.word(eventfd + place("io_ev_fd", "cq_ev_fd").offset)
        return Registered(
            file_slots, tuple(files), number("file_alloc_start"), number("file_alloc_end"),
            number("file_table.alloc_hint"), buffer_slots, tuple(buffers), kernels, eventfd, is_async, numbers,
        )  # fmt: skip

    def _nodes(self, table: int, count: int) -> Iterator[tuple[int, int]]:
        """The slots that are taken, and the structure of each."""
        if count > _MOST_SLOTS:
            raise OSError(0, "a table of it is larger than any can be")
        return ((slot, node) for slot, node in enumerate(islice(self._words(table), count)) if node)

    def _words(self, address: int) -> Iterator[int]:
        while True:
            block = self._peek.block(address)
            yield from struct.unpack(f"<{len(block) // 8}Q", block)
            address += len(block)

    def _buffer(self, slot: int, at: int, tag: int) -> FixedBuffer | None:
        """None if it is no memory of a program, to be read and written."""
        place, word = self._types.member, self._peek.word
        if word(at + place("io_mapped_ubuf", "is_kbuf").offset) & 0xFF:
            return None
        if word(at + place("io_mapped_ubuf", "dir").offset) & 0xFF != _BOTH:
            return None
        count = self._peek.half(at + place("io_mapped_ubuf", "nr_bvecs").offset)
        size = self._types.size("bio_vec")
        if (size, place("bio_vec", "bv_len").offset, place("bio_vec", "bv_offset").offset) != (16, 8, 12):
            raise OSError(0, "the kernel's struct bio_vec is another than crtool knows")
        words = islice(self._words(at + place("io_mapped_ubuf", "bvec").offset), 2 * count)
        pages = []
        for page, extent in zip(words, words, strict=True):
            length, offset = extent & 0xFFFFFFFF, extent >> 32
            first, end = offset // mmap.PAGESIZE, -(-(offset + length) // mmap.PAGESIZE)
            pages.append((self._frame(page) + first, end - first))
        address = word(at + place("io_mapped_ubuf", "ubuf").offset)
        length = self._peek.half(at + place("io_mapped_ubuf", "len").offset)
        return FixedBuffer(slot, address, length, tag, tuple(pages))

    def calibrate(self, buffers: Callable[[int], int], setup: Callable[[], int]) -> None:
        """Finds the table of all pages by a ring of our own, which *setup* makes; *buffers*: where its table is."""
        fd = setup()
        with mmap.mmap(-1, mmap.PAGESIZE) as room:
            try:
                room[0] = 1
                here = ctypes.c_char.from_buffer(room)
                vector = ctypes.create_string_buffer(struct.pack("<QQ", ctypes.addressof(here), 64), 16)
                with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
                    syscall("io_uring_register", fd, _REGISTER_BUFFERS, ctypes.addressof(vector), 1)
                    entry = os.pread(pagemap.fileno(), 8, ctypes.addressof(here) // mmap.PAGESIZE * 8)
                frame = _WORD.unpack(entry)[0] & _FRAME
                del here
                place = self._types.member
                node = self._peek.word(buffers(fd))
                buffer = self._peek.word(node + place("io_rsrc_node", "buf").offset)
                page = self._peek.word(buffer + place("io_mapped_ubuf", "bvec").offset)
            finally:
                os.close(fd)
        if not frame:
            raise OSError(0, "the kernel does not tell in which frames memory is")
        self._table = page - frame * self._types.size("page")

    @property
    def is_calibrated(self) -> bool:
        """Whether frames can be told."""
        return bool(self._table)

    def _frame(self, page: int) -> int:
        frame, rest = divmod(page - self._table, self._types.size("page"))
        if rest or not 0 <= frame <= _FRAME:
            raise OSError(0, "a page of a registered buffer has no place among all pages")
        return frame


def frames_of(buffer: FixedBuffer) -> Sequence[int]:
    """The frames of its pages, in order."""
    return [first + number for first, count in buffer.pages for number in range(count)]
