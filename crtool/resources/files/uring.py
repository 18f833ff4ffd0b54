"""Rings of io_uring (io_uring_setup(2)) that are idle.

The kernel keeps two queues in memory that it shares with the program: requests, and what has become of them. It keeps
its own places in both, the flags by which the ring was set up, what was registered with it, and the requests in flight.

We copy the shared memory through a mapping of our own. Flags, places, and whether anything is registered or in flight,
stand in no file of /proc: a BPF iterator reads them in the kernel's structure (:mod:`crtool.kernel.uring`). Of a frozen
tree nobody can submit, so a ring all of whose requests are free stays idle.

We rebuild it by a new ring with these flags. Empty requests (IORING_OP_NOP) bring the kernel to its places, which the
program knows by heart; then the shared memory gets its content. A ring of which only one thread may submit
(IORING_SETUP_SINGLE_ISSUER) is set up disabled, and that thread enables it when it is born.

What is registered with it is in :mod:`.uring_fixed`.

Refused: requests in flight; registered credentials, rings of buffers, restrictions, clocks; a polling thread
(IORING_SETUP_SQPOLL, _IOPOLL), memory of the program's own (_NO_MMAP), a ring that is not enabled yet; places too far
on; a ring that somebody outside the tree has open. Not seen: the CPUs of its workers (IORING_REGISTER_IOWQ_AFF), which
are made anew when they are needed; and a mapping that was left behind when the ring was resized.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from crtool.abi import mman
from crtool.errors import EnvironmentDiffers, Obstacle, ObstacleError
from crtool.kernel import uring
from crtool.kernel.uring import Layout, RingState
from crtool.kernel.uring_registered import Registered
from crtool.puppet.batch import Batch
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass
from crtool.resources.files import uring_fixed
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.uring_fixed import RegisteredRecord

__all__ = [
    "LINK",
    "UringRecord",
    "complete",
    "dump",
    "is_sound",
    "obstacle",
    "opened",
    "recognise",
    "refusal",
    "registered",
    "renumbered",
    "restore",
]

LINK = b"anon_inode:[io_uring]"
_REMEDY = "let the program do without: innodb_use_native_aio=0 for MariaDB, UV_USE_IO_URING=0 for libuv"
_LATER = "try again when it is idle, or let the program do without, as by UV_USE_IO_URING=0 for libuv"
_FIRST_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO

# By bit: IORING_SETUP_CQSIZE, _CLAMP, _SUBMIT_ALL, _COOP_TASKRUN, _TASKRUN_FLAG, _SQE128, _CQE32, _SINGLE_ISSUER,
# _DEFER_TASKRUN, _NO_SQARRAY.
_SAVED = sum(1 << bit for bit in (3, 4, 7, 8, 9, 10, 11, 12, 13, 16))
_NAMES = {
    0: "IORING_SETUP_IOPOLL",
    1: "IORING_SETUP_SQPOLL",
    2: "IORING_SETUP_SQ_AFF",
    5: "IORING_SETUP_ATTACH_WQ",
    6: "IORING_SETUP_R_DISABLED",
    14: "IORING_SETUP_NO_MMAP",
    15: "IORING_SETUP_REGISTERED_FD_ONLY",
    17: "IORING_SETUP_HYBRID_IOPOLL",
}
_NO_SQARRAY = 1 << 16
_CALLS_AT_ONCE = 2048  # of a puppet, in one batch
_AT_ONCE = 2047  # requests: the most that one FUTEX_OP_ADD can count
_MOST_CALLS, _MOST_REQUESTS = 1 << 19, 1 << 27  # which may take a restart half a minute
_SKIP = 1 << 6  # IOSQE_CQE_SKIP_SUCCESS, in the second byte of a request
_FUTEX_WAKE_OP, _FUTEX_ADD = 5 | 128, 1 << 28  # private: it is found by its address
_MOST_ENTRIES = 32768  # IORING_MAX_ENTRIES
_PAGE = 4096
_READWRITE, _SHARED = mman.PROT_READ | mman.PROT_WRITE, mman.MAP_SHARED
_WORD = struct.Struct("<I")


@dataclass(frozen=True)
class UringRecord:
    """A ring."""

    inode: int  # index of its memory among the inodes
    flags: int  # O_* as fcntl(F_GETFL) gives them
    setup: int  # IORING_SETUP_*
    submissions: int  # entries of the submission queue
    completions: int  # entries of the completion queue
    head: int  # requests that the kernel has taken, modulo 2³²
    tail: int  # completions that it has made, modulo 2³²
    skipping: bool  # IOSQE_CQE_SKIP_SUCCESS has been used: it cannot drain any more
    issuer: int  # TID of the only thread that may submit, as crtool sees it, 0 for any
    features: int  # IORING_FEAT_* of the kernel
    submission: bytes  # struct io_sqring_offsets, without user_addr
    completion: bytes  # struct io_cqring_offsets, without user_addr
    rings: bytes  # the shared memory of both queues
    entries: bytes  # that of the submission entries
    registered: RegisteredRecord | None = None


def recognise(file: OpenFile) -> bool:
    """Whether *file* is a ring."""
    return file.link == LINK


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why the ring cannot be saved, if so."""
    try:
        state = uring.state(file.local)
    except OSError as error:
        cause = f"an io_uring cannot be saved, since nothing tells of it: {error.strerror}"
        return Obstacle(file.pid, where, cause, f"run crtool as root on Linux 6.18 with BTF, or {_REMEDY}")
    if _shown(file, "SqMask", "CqMask") != (state.submissions - 1, state.completions - 1):
        return Obstacle(file.pid, where, "an io_uring is another in fdinfo than in the kernel's structure", _REMEDY)
    if names := [_NAMES.get(bit, f"bit {bit}") for bit in range(32) if state.flags & ~_SAVED & 1 << bit]:
        return Obstacle(file.pid, where, f"an io_uring set up with {', '.join(names)} cannot be saved", _REMEDY)
    if state.hindrances:
        cause = f"an io_uring with {', '.join(state.hindrances)} cannot be saved"
        return Obstacle(file.pid, where, cause, _LATER)
    if state.flags & uring.SETUP_SINGLE_ISSUER or state.registered.numbers:
        if os.readlink("/proc/self/ns/pid") != _FIRST_PID_NAMESPACE:
            cause = "an io_uring that knows a thread cannot be saved from within a PID namespace"
            return Obstacle(file.pid, where, cause, "run crtool outside")
        issuer = state.flags & uring.SETUP_SINGLE_ISSUER
        if issuer and not os.path.exists(f"/proc/{file.pid}/task/{state.issuer}/fd/{file.fd}"):
            cause = f"an io_uring to which only TID {state.issuer} may submit, which is no thread of this process,"
            return Obstacle(file.pid, where, f"{cause} cannot be saved", "close it there, or end this process first")
    skipped = (state.head - state.tail) % 2**32
    if bool(skipped) != state.skipping:
        cause = "an io_uring with more completions than requests cannot be saved"
        return Obstacle(file.pid, where, cause, _REMEDY)
    if not _is_near(state.submissions, state.completions, state.tail, skipped):
        return Obstacle(file.pid, where, f"an io_uring that is {state.head} requests on cannot be saved", _REMEDY)
    return None


def registered(file: OpenFile) -> Registered:
    """What is registered with the ring, as the kernel has it; OSError if that cannot be read."""
    return uring.state(file.local).registered


def refusal(cause: str) -> str:
    """In words, for what is registered with a ring."""
    return f"an io_uring with {cause} cannot be saved"


def _shown(file: OpenFile, *keys: str) -> tuple[int, ...]:
    """Numbers that fdinfo shows too, which must be the same: else it is not the structure that we take it for."""
    return tuple(int(file.info.get(key) or b"-1", 0) for key in keys)


def _is_near(submissions: int, completions: int, tail: int, skipped: int) -> bool:
    """Whether a restart can get there by empty requests."""
    count = tail + skipped
    return count <= min(_MOST_REQUESTS, _MOST_CALLS * min(submissions, completions, _AT_ONCE))


def dump(file: OpenFile, inode: int) -> UringRecord:
    """The record of *file*, whose memory has the index *inode*."""
    try:
        return _record(file, inode)
    except OSError as error:
        cause = f"an io_uring cannot be read: {error.strerror}"
        raise ObstacleError([Obstacle(file.pid, f"fd {file.fd}", cause, _REMEDY)]) from None


def _record(file: OpenFile, inode: int) -> UringRecord:
    state = uring.state(file.local)
    if state.hindrances or _shown(file, "CachedSqHead", "CachedCqTail") != (state.head, state.tail):
        raise ObstacleError([Obstacle(file.pid, f"fd {file.fd}", "an io_uring goes on while all stand still", _LATER)])
    layout = _layout(state)
    return UringRecord(
        inode=inode,
        flags=file.flags,
        setup=state.flags,
        submissions=state.submissions,
        completions=state.completions,
        head=state.head,
        tail=state.tail,
        skipping=state.skipping,
        issuer=state.issuer,
        features=layout.features,
        submission=layout.submission,
        completion=layout.completion,
        rings=_content(file.local, uring.OFFSET_RINGS, state.ring_pages),
        entries=_content(file.local, uring.OFFSET_ENTRIES, state.entry_pages),
    )


def _layout(state: RingState) -> Layout:
    """That of another ring like it: the kernel tells of it once."""
    fd, layout = uring.setup(state.submissions, state.completions, state.flags)
    os.close(fd)
    return layout


def _content(fd: int, offset: int, pages: int) -> bytes:
    with uring.mapped(fd, offset, pages) as memory:
        return memory[:]


def renumbered(record: UringRecord, other: Callable[[int], int]) -> UringRecord:
    """The record with *other* numbers of processes and threads."""
    known = record.registered
    if known is not None:
        numbers = tuple(replace(each, tid=other(each.tid)) for each in known.numbers)
        known = replace(known, holder=other(known.holder), numbers=numbers)
    return replace(record, issuer=other(record.issuer) if record.issuer else 0, registered=known)


def is_sound(record: UringRecord) -> bool:
    """Whether a ring can be like that."""
    word = len(record.submission) == len(record.completion) == 32
    pages = 0 < len(record.rings) <= 1 << 26 and 0 < len(record.entries) <= 1 << 26
    sizes = 0 < record.submissions <= _MOST_ENTRIES and 0 < record.completions <= 2 * _MOST_ENTRIES
    whole = not (len(record.rings) | len(record.entries)) % _PAGE
    places = 0 <= record.head < 2**32 and 0 <= record.tail < 2**32 and 0 <= record.flags < 2**32
    if not (word and pages and sizes and whole and places) or record.setup & ~_SAVED or record.setup < 0:
        return False
    size = uring.ENTRY_SIZE * (2 if record.setup & uring.SETUP_SQE128 else 1)
    words = (*struct.unpack("<6I", record.submission[:24]), *struct.unpack("<7I", record.completion[:28]))
    if record.submissions * size > len(record.entries) or max(words) + 4 > len(record.rings):
        return False
    if not record.setup & _NO_SQARRAY:
        (index,) = _WORD.unpack_from(record.submission, 24)
        if index + 4 * record.submissions > len(record.rings):
            return False
    near = _is_near(record.submissions, record.completions, record.tail, (record.head - record.tail) % 2**32)
    single = bool(record.setup & uring.SETUP_SINGLE_ISSUER)
    if record.registered is not None and not uring_fixed.is_sound(record.registered):
        return False
    return near and record.issuer >= 0 and bool(record.issuer) == single


def restore(record: UringRecord) -> int:
    """A new ring like it; one with an issuer still has to be completed."""
    disabled = uring.SETUP_R_DISABLED if record.issuer else 0
    try:
        fd, layout = uring.setup(record.submissions, record.completions, record.setup | disabled)
    except OSError as error:
        cause = f"an io_uring of {record.submissions} entries cannot be made: {error.strerror}"
        raise EnvironmentDiffers(cause, "set kernel.io_uring_disabled=0, on a kernel with io_uring") from None
    try:
        same = (layout.submission, layout.completion) == (record.submission, record.completion)
        if not same or record.features & ~layout.features:
            raise EnvironmentDiffers("an io_uring is not laid out here as where it was saved", "use the same kernel")
        os.set_blocking(fd, not record.flags & os.O_NONBLOCK)
        if not record.issuer:
            with _Advance(fd, record) as advance:
                for portions in advance.phases():
                    for count, seen in portions:
                        _require(uring.enter(fd, count), count)
                        advance.see(seen)
    except OSError as error:
        os.close(fd)
        raise EnvironmentDiffers(f"an io_uring cannot be brought to its place: {error.strerror}") from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def opened(record: object, fd: int) -> dict[tuple[int, int], int]:
    """If *record* is that of ring *fd*: under which inode and access mode *fd* is to be mapped. It cannot be opened."""
    return {(record.inode, mode): fd for mode in (os.O_RDWR, os.O_RDONLY)} if isinstance(record, UringRecord) else {}


def complete(record: UringRecord, fd: int, puppet: Puppet) -> None:
    """Lets *puppet*, which is the issuer, enable the ring and bring it to its place. *fd*: here and there."""
    with _Advance(fd, record) as advance:
        batch = Batch()
        batch.call("io_uring_register", fd, uring.REGISTER_ENABLE_RINGS, 0, 0, label="io_uring")
        size = len(record.rings)
        there = batch.call("mmap", 0, size, _READWRITE, _SHARED, fd, uring.OFFSET_RINGS, label="io_uring")
        puppet.run(batch)
        head = there.value + advance.head
        for portions in advance.phases():
            while some := tuple(islice(portions, _CALLS_AT_ONCE)):
                batch, calls = Batch(), []
                for count, seen in some:
                    calls.append((batch.call("io_uring_enter", fd, count, 0, 0, 0, 0, label="io_uring"), count))
                    if seen:
                        batch.call("futex", head, _FUTEX_WAKE_OP, 0, 0, head, _FUTEX_ADD | seen << 12, label="io_uring")
                puppet.run(batch)
                for call, count in calls:
                    _require(call.value, count)
        puppet.call("munmap", there.value, size)


def _require(taken: int, count: int) -> None:
    if taken != count:
        raise EnvironmentDiffers("an io_uring takes no empty requests")


class _Advance:
    """Brings the kernel's places in a new ring to those of *record*. At the end of the block it gets its content."""

    def __init__(self, fd: int, record: UringRecord) -> None:
        self._fd = fd
        self._record = record
        self._submission = struct.unpack("<8I", record.submission)  # head, tail, mask, entries, flags, dropped, array
        self._completion = struct.unpack("<8I", record.completion)  # head, tail, mask, entries, overflow, cqes, flags

    def __enter__(self) -> _Advance:
        self._rings = uring.mapped(self._fd, uring.OFFSET_RINGS, len(self._record.rings) // _PAGE)
        self._entries = uring.mapped(self._fd, uring.OFFSET_ENTRIES, len(self._record.entries) // _PAGE)
        if not self._record.setup & _NO_SQARRAY:
            count = self._record.submissions
            struct.pack_into(f"<{count}I", self._rings, self._submission[6], *range(count))
        # As if all that will be asked for stood in the queue: the kernel goes round in it.
        _WORD.pack_into(self._rings, self._submission[1], self._record.head)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._rings, self._entries:
            if kind is None:
                self._rings[:] = self._record.rings
                self._entries[:] = self._record.entries

    @property
    def head(self) -> int:
        """Where in the memory of the rings the program's place in the completions stands."""
        return int(self._completion[0])

    def see(self, count: int) -> None:
        """Lets the program have seen so many completions more."""
        (before,) = _WORD.unpack_from(self._rings, self.head)
        _WORD.pack_into(self._rings, self.head, (before + count) % 2**32)

    def phases(self) -> Iterator[Iterator[tuple[int, int]]]:
        """How many empty requests to submit by each call, and how many completions are to be seen behind it. What one
        phase has submitted has to be done before the next one is asked for.

        The program is never let see more than it had seen: of what the kernel takes to be free it keeps a note, and
        would write over completions that are still to be read.
        """
        record = self._record
        most = min(record.submissions, record.completions, _AT_ONCE)
        (last,) = _WORD.unpack_from(record.rings, self.head)
        unread = min((record.tail - last) % 2**32, record.completions)
        if unread > record.tail:  # the numbers have begun anew since the first that is unread
            self.see(last)
        self._fill(skip=True)
        yield ((count, 0) for count in _portions((record.head - record.tail) % 2**32, most))
        self._fill(skip=False)
        yield ((count, count) for count in _portions(max(record.tail - unread, 0), most))
        yield ((count, 0) for count in _portions(min(unread, record.tail), most))

    def _fill(self, *, skip: bool) -> None:
        """Makes all entries empty requests."""
        size = uring.ENTRY_SIZE * (2 if self._record.setup & uring.SETUP_SQE128 else 1)
        entry = bytes((0, _SKIP if skip else 0)).ljust(size, b"\0")
        self._entries[: size * self._record.submissions] = entry * self._record.submissions


def _portions(count: int, most: int) -> Iterator[int]:
    for start in range(0, count, most):
        yield min(most, count - start)
