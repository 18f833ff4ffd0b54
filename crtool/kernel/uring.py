"""Rings of io_uring: their calls, their memory, and what the kernel knows of one and shows nowhere else.

Sources: man 2 io_uring_setup, include/uapi/linux/io_uring.h; struct io_ring_ctx in include/linux/io_uring_types.h.

Neither the flags by which a ring was set up nor whether requests are in flight can be asked for. Both stand in the
kernel's own structure, which a BPF iterator (:mod:`crtool.kernel.bpf_iter`) writes down; BTF tells where in it.
"""

from __future__ import annotations

import functools
import mmap
import os
import struct
from collections.abc import Iterator

from crtool.kernel import bpf_iter, btf, uring_registered
from crtool.kernel.bpf_iter import R0, R7, R8, R9, R10, TASK, Program
from crtool.kernel.syscall import memory_address, syscall
from crtool.kernel.uring_registered import Registered, RegisteredReader
from crtool.record import dataclass

__all__ = [
    "ENTRY_SIZE",
    "OFFSET_ENTRIES",
    "OFFSET_RINGS",
    "OFFSET_RINGS_AGAIN",
    "REGISTER_ENABLE_RINGS",
    "SETUP_CQSIZE",
    "SETUP_R_DISABLED",
    "SETUP_SINGLE_ISSUER",
    "SETUP_SQE128",
    "Layout",
    "RingState",
    "enter",
    "mapped",
    "open_files",
    "setup",
    "state",
]

SETUP_CQSIZE, SETUP_R_DISABLED = 1 << 3, 1 << 6
SETUP_SQE128, SETUP_SINGLE_ISSUER = 1 << 10, 1 << 12
OFFSET_RINGS, OFFSET_RINGS_AGAIN, OFFSET_ENTRIES = 0, 0x8000000, 0x10000000  # IORING_OFF_*: of mappings
ENTRY_SIZE = 64  # bytes of one submission entry
REGISTER_ENABLE_RINGS = 12
_PARAMS = struct.Struct("<IIIIIII12x40s40s")  # struct io_uring_params
_MOST_CACHED = 2000  # requests that the program below can count: each makes it longer to verify
_CHUNK = 256  # bytes that are copied at once, within the stack of a BPF program
_RING_FDS = 16  # IO_RINGFD_REG_MAX: rings that a thread can register
_TASK_SIZE = 8 * (1 + _RING_FDS)

# Members of struct io_ring_ctx that are 0 as long as nothing was registered and nothing goes on, with their sizes.
_BUSY, _DONE = "requests in flight", "completions that are under way"
_NOTHING = {
    "restricted": (4, "restrictions"),
    "iowq_limits_set": (4, "limits on its workers"),
    "compat": (4, "a 32-bit program"),
    "drain_next": (4, _BUSY),
    "drain_active": (4, _BUSY),
    "io_bl_xa.xa_head": (8, "rings of buffers"),
    "personalities.xa_head": (8, "registered credentials"),
    "zcrx_ctxs.xa_head": (8, "the queue of a network device"),
    "param_region.nr_pages": (4, "a registered memory region"),
    "sq_data": (8, "a polling thread of the kernel's"),
    "check_cq": (8, "completions that did not fit"),
    "work_llist": (8, _DONE),
    "retry_llist": (8, _DONE),
    "fallback_llist": (8, _DONE),
    "submit_state.compl_reqs": (8, _DONE),
    "cancelable_uring_cmd": (8, _BUSY),
    "waitid_list": (8, _BUSY),
    "futex_list": (8, _BUSY),
    "iopoll_list": (8, _BUSY),
}
_EMPTY = {  # and lists that lead to themselves
    "defer_list": _BUSY,
    "cq_overflow_list": "completions that did not fit",
    "timeout_list": _BUSY,
    "ltimeout_list": _BUSY,
}
_ASKED = (
    *_NOTHING, *_EMPTY, *uring_registered.PLACES, "flags", "sq_entries", "cq_entries", "cached_sq_head",
    "cached_cq_tail", "clockid", "napi_track_mode", "drain_disabled", "nr_req_allocated", "submitter_task",
    "ring_region.nr_pages", "sq_region.nr_pages",
)  # fmt: skip
_SIZES = {"file_table.data.nodes": 8, "buf_table.nodes": 8, "io_ev_fd": 8}
_KNOWN = frozenset(  # all that there is in Linux 6.18: nobody knows what it takes to save something new
    """
    apoll_cache buf_table cached_cq_tail cached_sq_head cancel_seq cancel_table cancelable_uring_cmd check_cq
    clock_offset clockid cmd_cache compat completion_lock cq_entries cq_last_tm_flush cq_overflow_list
    cq_timeouts cq_wait cq_wait_arg cq_wait_nr cq_wait_size cqe_cached cqe_sentinel defer_list drain_active
    drain_disabled drain_next exit_work fallback_llist fallback_work file_alloc_end file_alloc_start file_table
    flags futex_cache futex_list has_evfd hash_map hybrid_poll_time imu_cache io_bl_xa io_ev_fd iopoll_list
    iowq_limits iowq_limits_set lockless_cq ltimeout_list mm_account mmap_lock napi_busy_poll_dt napi_ht
    napi_list napi_lock napi_prefer_busy_poll napi_track_mode netmsg_cache node_cache notify_method nr_drained
    nr_req_allocated off_timeout_used param_region pers_next personalities poll_activated poll_multi_queue
    poll_wq poll_wq_task_work ref_comp refs restricted restrictions retry_llist ring_region rings rings_rcu
    rw_cache sq_array sq_creds sq_data sq_entries sq_region sq_sqes sq_thread_idle sqd_list sqo_sq_wait
    submit_state submitter_task syscall_iopoll task_complete tctx_list timeout_list timeout_lock uring_lock user
    waitid_list work_llist zcrx_ctxs
    """.split()
)
_FUNCTIONS = ("bpf_iter_task_file", "bpf_iter_task")
_CLOCK_MONOTONIC, _NAPI_INACTIVE = 1, 255


@dataclass(frozen=True)
class RingState:
    """A ring, as the kernel has it."""

    flags: int  # IORING_SETUP_*
    submissions: int  # entries of the submission queue
    completions: int  # entries of the completion queue
    head: int  # submission entries that the kernel has taken, modulo 2³²
    tail: int  # completions that it has made, modulo 2³²
    skipping: bool  # a request was made by which completions may be skipped: no draining any more
    ring_pages: int  # of the memory of both rings
    entry_pages: int  # of the memory of the submission entries
    issuer: int  # TID, in the kernel's first PID namespace, of the only thread that may submit; 0 for any
    hindrances: tuple[str, ...]  # what it has that cannot be made again, or is going on
    registered: Registered


@dataclass(frozen=True)
class Layout:
    """What io_uring_setup(2) tells about a new ring."""

    features: int  # IORING_FEAT_*
    submission: bytes  # struct io_sqring_offsets, without user_addr
    completion: bytes  # struct io_cqring_offsets, without user_addr


def setup(submissions: int, completions: int, flags: int) -> tuple[int, Layout]:
    """A new ring, close-on-exec; raises OSError, also if it has other sizes."""
    fixed = SETUP_CQSIZE if completions != 2 * submissions else 0
    asked = completions if (flags | fixed) & SETUP_CQSIZE else 0
    buffer = bytearray(_PARAMS.pack(0, asked, flags | fixed, 0, 0, 0, 0, b"", b""))
    fd = syscall("io_uring_setup", submissions, memory_address(memoryview(buffer)))
    os.set_inheritable(fd, False)
    first, second, _, _, _, features, _, submission, completion = _PARAMS.unpack(buffer)
    if (first, second) != (submissions, completions):
        os.close(fd)
        raise OSError(0, f"the kernel makes rings of {first} and {second} entries of it")
    return fd, Layout(features, submission[:32], completion[:32])


def enter(fd: int, count: int) -> int:
    """Submits up to *count* entries; returns how many were taken, or raises OSError."""
    return syscall("io_uring_enter", fd, count)


def mapped(fd: int, offset: int, pages: int) -> mmap.mmap:
    """The memory of a ring, to be read and written; raises OSError."""
    return mmap.mmap(fd, pages * mmap.PAGESIZE, offset=offset)


class _Reader:
    """The programs, loaded once. That for rings looks at descriptor *slot* of this process."""

    def __init__(self) -> None:
        structures = ("io_ring_ctx", "file", "task_struct", "io_uring_task", *uring_registered.STRUCTURES)
        types = btf.read((*structures, *_FUNCTIONS))
        self.size = types.size("io_ring_ctx")
        if new := sorted(types.members("io_ring_ctx") - _KNOWN):
            raise OSError(0, f"the kernel keeps more of a ring than crtool knows: {', '.join(new)}")
        self.places = {path: types.member("io_ring_ctx", path) for path in _ASKED}
        self._free = types.member("io_ring_ctx", "submit_state.free_list").offset
        self._private = types.member("file", "private_data").offset
        self._pid = types.member("task_struct", "pid").offset
        self._context = types.member("task_struct", "io_uring").offset
        self._registered = types.member("io_uring_task", "registered_rings").offset
        self.registered = RegisteredReader(types)
        self._slot = bpf_iter.Slot()
        self._of_ring = bpf_iter.load(self._ring_program(), types.function(_FUNCTIONS[0]))
        self._of_tasks = bpf_iter.load(self._task_program(), types.function(_FUNCTIONS[1]))

    def _ring_program(self) -> Program:
        """Writes down the addresses of the file and of its struct io_ring_ctx, that structure, the TID of the issuer,
        and how many requests are cached.
        """
        program = self._slot.program()
        program.load(R8, R7, self._private)
        program.store(R10, -16, R7)
        program.store(R10, -8, R8)
        program.write(R9, 16, 16)
        for start in range(0, self.size, _CHUNK):
            size = min(_CHUNK, self.size - start)
            program.read_kernel(_CHUNK, size, R8, start)
            program.end_unless(R0, 0)
            program.write(R9, _CHUNK, size)
        program.read_kernel(8, 8, R8, self.places["submitter_task"].offset)
        program.load(R7, R10, -8)
        program.read_kernel(8, 8, R7, self._pid)  # zeros if there is no issuer
        program.write(R9, 8, 8)
        program.add(R8, self._free)
        program.put(R7, 0)
        again = program.here
        program.read_kernel(8, 8, R8)  # struct io_wq_work_node is a pointer to the next
        program.load(R8, R10, -8)
        program.jump_if(R8, 0, 2)
        program.add(R7, 1)
        program.back_if_less(R7, _MOST_CACHED, again)
        program.store(R10, -8, R7)
        program.write(R9, 8, 8)
        program.end()
        return program

    def _task_program(self) -> Program:
        """Writes down TID, PID and the files of registered rings, of each task that has used io_uring."""
        program = Program.of_each(TASK)
        program.load(R8, R7, self._context)
        program.end_if(R8, 0)
        program.read_kernel(_TASK_SIZE, 8, R7, self._pid)  # tgid stands behind pid
        program.read_kernel(_TASK_SIZE - 8, _TASK_SIZE - 8, R8, self._registered)
        program.write(R9, _TASK_SIZE, _TASK_SIZE)
        program.end()
        return program

    def look(self, fd: int) -> tuple[int, int, bytes, int, int]:
        """The addresses of file and structure, the latter, the issuer and the number of cached requests of ring *fd*
        of ours.
        """
        found = self._slot.look(self._of_ring, fd)
        if len(found) != self.size + 32:
            raise OSError(0, "the kernel does not let it be read")
        file, address = struct.unpack_from("<QQ", found)
        issuer, _, cached = struct.unpack_from("<IIQ", found, 16 + self.size)
        return file, address, found[16 : 16 + self.size], issuer, cached

    def buffers(self, fd: int) -> int:
        """Where the table of buffers of ring *fd* of ours is."""
        return _number(self.places["buf_table.nodes"], self.look(fd)[2], 8)

    def tasks(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """TIDs, in the kernel's first PID namespace, with the addresses of the files of their registered rings."""
        for tid, _, *files in struct.iter_unpack(f"<II{_RING_FDS}Q", bpf_iter.run(self._of_tasks)):
            yield tid, tuple(files)


@functools.cache
def _reader(_pid: int) -> _Reader:
    try:
        return _Reader()
    except KeyError as error:  # an older kernel, or one without type information
        raise OSError(0, f"the kernel does not tell of {error.args[0]}") from None


def state(fd: int) -> RingState:
    """What the kernel knows of ring *fd* of ours; OSError if it cannot be asked, or is one that we do not know."""
    reader = _reader(os.getpid())
    file, address, content, issuer, cached = reader.look(fd)

    def number(path: str, size: int = 4) -> int:
        return _number(reader.places[path], content, size)

    found = [what for path, (size, what) in _NOTHING.items() if number(path, size)]
    found += [what for path, what in _EMPTY.items() if number(path, 8) != address + reader.places[path].offset]
    if number("nr_req_allocated") != cached:
        found.append(_BUSY)
    if number("clockid") != _CLOCK_MONOTONIC:
        found.append("a clock of its own")
    if number("napi_track_mode", 1) != _NAPI_INACTIVE:
        found.append("busy polling")
    numbers = tuple((tid, files.index(file)) for tid, files in reader.tasks() if file in files)
    if number("buf_table.nr") and not reader.registered.is_calibrated:
        reader.registered.calibrate(reader.buffers, lambda: setup(1, 2, 0)[0])
    registered = reader.registered.read(lambda path: number(path, _SIZES.get(path, 4)), numbers)
    if registered.kernel_buffers:
        found.append("registered buffers that are no memory of the program's own")
    return RingState(
        flags=number("flags"),
        submissions=number("sq_entries"),
        completions=number("cq_entries"),
        head=number("cached_sq_head"),
        tail=number("cached_cq_tail"),
        skipping=bool(number("drain_disabled")),
        ring_pages=number("ring_region.nr_pages"),
        entry_pages=number("sq_region.nr_pages"),
        issuer=issuer,
        hindrances=tuple(dict.fromkeys(found)),
        registered=registered,
    )


def open_files(pid: int, tid: int = 0) -> dict[int, tuple[int, int]]:
    """As of :meth:`RegisteredReader.files`."""
    return _reader(os.getpid()).registered.files(pid, tid)


def _number(place: btf.Member, content: bytes, size: int) -> int:
    value = int.from_bytes(content[place.offset : place.offset + size], "little")
    return value >> place.bit & (1 << place.bits) - 1 if place.bits else value
