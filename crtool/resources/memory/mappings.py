"""The mappings of an address space.

The kernel keeps a list of VMAs, each with protection, flags, perhaps a file with an offset, and advice.

We read /proc/PID/maps and the VmFlags of /proc/PID/smaps (proc_pid_smaps(5)). Whether later mappings will be
locked (mlockall(MCL_FUTURE)) is shown nowhere: the caller tells, from what happened to the scratch mapping.

We rebuild them by mmap(2) at the same addresses in an otherwise empty address space, writable at first where pages
have to be filled in; :func:`finish` then sets protection, advice, names, guards and locks.

Refused: userfaultfd registrations, but for those that only watch (written.py), device memory, secret memory, shadow
stacks. Lost on purpose: what is in mappings that a fork empties in the child (MADV_WIPEONFORK). Programs keep there
what no two processes may have, like the state of a random number generator; a restart may be the second of its image,
or the original may go on, so it does what a fork does. Soft-dirty bits are not state of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from crtool.abi import mman
from crtool.arch import cpu
from crtool.errors import Obstacle
from crtool.procfs.maps import Mapping, parse
from crtool.puppet.batch import Batch
from crtool.puppet.space import Extent
from crtool.record import dataclass
from crtool.resources.memory.aio import is_ring

__all__ = [
    "WATCHED",
    "GuardRecord",
    "MappingRecord",
    "dump",
    "early_obstacles",
    "finish",
    "future_locks",
    "is_emptied",
    "is_of_file",
    "obstacles",
    "place",
]

_SPECIAL = (b"[vdso]", b"[vvar]", b"[vvar_vclock]", b"[vsyscall]")
_NO_FILE = -1
_RING = b"anon_inode:[io_uring]"
_SOCKET = b"socket:["
_RINGS = (_RING, _SOCKET)  # that are saved with their open files
_RING_OFFSETS = (0, 0x8000000, 0x10000000)  # IORING_OFF_SQ_RING, _CQ_RING, _SQES

# VmFlags that are advice, and the madvise(2) that gives it.
_ADVICE = {
    "sr": mman.MADV_SEQUENTIAL,
    "rr": mman.MADV_RANDOM,
    "dc": mman.MADV_DONTFORK,
    "dd": mman.MADV_DONTDUMP,
    "wf": mman.MADV_WIPEONFORK,
    "hg": mman.MADV_HUGEPAGE,
    "nh": mman.MADV_NOHUGEPAGE,
    "mg": mman.MADV_MERGEABLE,
}
WATCHED = frozenset({"um", "uw", "ui"})
"""The VmFlags of what a userfaultfd watches."""

_REFUSED = {
    "um": (
        "is watched by a userfaultfd",
        "end the userfaultfd user first; after restart --lazy, try again when all memory has come",
    ),
    "uw": ("is write-protected by a userfaultfd", "end the userfaultfd user first"),
    "ui": ("is watched by a userfaultfd", "end the userfaultfd user first"),
    "pf": ("maps memory of a device", "close the device first"),
    "io": ("maps registers of a device", "close the device first"),
    "mm": ("maps memory of a device", "close the device first"),
    "ss": ("is a shadow stack", "start the program with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off"),
}
# Rings and buffers that belong to something else of the kernel's: their pages alone are of no use.
_REFUSED_NAMES = {
    _RING: ("is a part of an io_uring, or a private mapping of one", "map it as a whole"),
    b"anon_inode:[perf_event]": ("is a performance counter (perf_event_open)", "end the measurement first"),
    b"anon_inode:bpf-map": ("is a BPF map", "unmap it first"),
    b"/secretmem": ("is secret memory, which nobody may read", "unmap it first"),
    b"anon_inode:kvm-": ("is of a virtual machine (KVM)", "save it by its own means, and end it"),
}
_MAYBE_REFUSED = tuple(_REFUSED_NAMES)
_PR_SET_VMA, _PR_SET_VMA_ANON_NAME = 0x53564D41, 0


@dataclass(frozen=True)
class MappingRecord:
    """One mapping."""

    start: int  # address of its first byte
    end: int  # address behind its last byte
    protection: int  # PROT_* bits
    shared: bool  # MAP_SHARED, else MAP_PRIVATE
    inode: int  # index of the file or shared memory object that is mapped, −1 for private anonymous memory
    offset: int  # byte of the file at which it starts
    may_write: bool  # a shared mapping whose file was opened for writing
    flags: int  # MAP_GROWSDOWN, MAP_NORESERVE, MAP_HUGETLB with its size
    advice: tuple[int, ...]  # MADV_* in force
    locked: bool  # mlock(2)
    lock_on_fault: bool  # … with MLOCK_ONFAULT
    sealed: bool  # mseal(2)
    key: int  # memory protection key
    name: bytes  # given by PR_SET_VMA_ANON_NAME

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.end - self.start


@dataclass(frozen=True)
class GuardRecord:
    """A stretch of guard pages (MADV_GUARD_INSTALL)."""

    start: int
    end: int


def is_special(mapping: Mapping) -> bool:
    """Whether it is one of the mappings that the kernel makes for itself (vDSO and its data)."""
    return mapping.name in _SPECIAL


def is_of_file(mapping: Mapping) -> bool:
    """Whether *mapping* is of something that has to be opened or made again: a file, or shared memory."""
    if not (mapping.shared or mapping.inode) or is_special(mapping) or is_ring(mapping):
        return False
    return mapping.shared or not mapping.name.startswith(b"/anon_hugepage")


def obstacles(pid: int, maps: Sequence[Mapping], flags: Sequence[frozenset[str]]) -> list[Obstacle]:
    """What among the mappings cannot be saved."""
    found = []
    for mapping, vmflags in zip(maps, flags, strict=True):
        if is_special(mapping):
            continue
        refused = () if vmflags.isdisjoint(_REFUSED) else _REFUSED.items()  # of tens of thousands hardly any
        for flag, (cause, remedy) in refused:
            if flag in vmflags and not (flag == "mm" and mapping.name.startswith(_RINGS)):
                where = f"mapping {mapping.start:x}-{mapping.end:x} {mapping.name.decode(errors='replace')}".rstrip()
                found.append(Obstacle(pid, where, cause, remedy))
                break
        if mapping.name.startswith(_MAYBE_REFUSED):
            found.extend(_named_obstacles(pid, mapping))
    return found


def _named_obstacles(pid: int, mapping: Mapping) -> Iterator[Obstacle]:
    if mapping.name == _RING and mapping.shared and mapping.offset in _RING_OFFSETS:
        return
    for name, (cause, remedy) in _REFUSED_NAMES.items():
        if mapping.name.startswith(name) and (mapping.deleted or not name.startswith(b"/")):
            yield Obstacle(pid, f"mapping {mapping.start:x}", cause, remedy)


def early_obstacles(pid: int, maps: bytes) -> list[Obstacle]:
    """What can be told of /proc/PID/maps at a glance, which the many mappings of a big program do not slow down."""
    if not any(name in maps for name in _REFUSED_NAMES):
        return []
    return [obstacle for mapping in parse(maps) for obstacle in _named_obstacles(pid, mapping)]


def _map_flags(mapping: Mapping, vmflags: frozenset[str], page_size: int) -> int:
    flags = 0
    if "gd" in vmflags:
        flags |= mman.MAP_GROWSDOWN
    if "nr" in vmflags:
        flags |= mman.MAP_NORESERVE
    if "ht" in vmflags and mapping.name.startswith((b"/anon_hugepage", b"")) and not mapping.shared:
        flags |= mman.MAP_HUGETLB | (page_size.bit_length() - 1) << mman.MAP_HUGE_SHIFT
    return flags


def dump(
    maps: Sequence[Mapping],
    flags: Sequence[frozenset[str]],
    page_sizes: Sequence[int],
    keys: Sequence[int],
    resident: Sequence[int],
    inode_of: Callable[[Mapping], int],
) -> tuple[MappingRecord, ...]:
    """The records of *maps*, without those that the kernel makes for itself.

    *flags*, *page_sizes* (bytes), *keys* and *resident* (bytes) are of smaps, in the order of *maps*; *inode_of* gives
    the index of what a file mapping or shared mapping maps. No kernel tells MLOCK_ONFAULT from mlock, but what is
    locked and not all there can only be the former.
    """
    records = []
    for mapping, vmflags, page_size, key, rss in zip(maps, flags, page_sizes, keys, resident, strict=True):
        if is_special(mapping):
            continue
        protection = (
            mman.PROT_READ * mapping.read | mman.PROT_WRITE * mapping.write | mman.PROT_EXEC * mapping.execute
        )
        map_flags = _map_flags(mapping, vmflags, page_size)
        anonymous = mapping.inode == 0 and not mapping.shared
        by_number = anonymous or bool(map_flags & mman.MAP_HUGETLB)
        name = mapping.name[6:-1] if anonymous and mapping.name.startswith(b"[anon:") else b""
        records.append(
            MappingRecord(
                start=mapping.start,
                end=mapping.end,
                protection=protection,
                shared=mapping.shared,
                inode=_NO_FILE if by_number else inode_of(mapping),
                offset=0 if by_number else mapping.offset,
                may_write=mapping.shared and "mw" in vmflags,
                flags=map_flags,
                advice=tuple(advice for flag, advice in _ADVICE.items() if flag in vmflags),
                locked="lo" in vmflags,
                lock_on_fault="lo" in vmflags and rss < mapping.size,
                sealed="sl" in vmflags,
                key=key,
                name=name,
            )
        )
    return tuple(records)


def future_locks(locked: int, flags: Sequence[frozenset[str]], maps: Sequence[Mapping], scratch: Extent) -> bool:
    """Whether mlockall(MCL_FUTURE) is in force, from whether the scratch mapping was locked.

    *locked*: VmLck of the process, in bytes, with the scratch mapping in place.
    """
    own = sum(mapping.size for mapping, vmflags in zip(maps, flags, strict=True) if "lo" in vmflags)
    return locked >= own + scratch.end - scratch.start


def place(batch: Batch, record: MappingRecord, fd: int, *, writable: bool) -> None:
    """Adds the mmap of *record*; *fd* is the file in the puppet, −1 for anonymous memory.

    *writable*: pages will be filled in; what the program may not write is writable for now.
    """
    protection = record.protection | (mman.PROT_READ | mman.PROT_WRITE if writable else 0)
    flags = record.flags | mman.MAP_FIXED_NOREPLACE
    flags |= mman.MAP_SHARED if record.shared else mman.MAP_PRIVATE
    if fd < 0:
        flags |= mman.MAP_ANONYMOUS
    batch.call("mmap", record.start, record.size, protection, flags, fd, record.offset, label=f"{record.start:x}")
    if mman.MADV_HUGEPAGE in record.advice:
        # Before it is filled, so that it is filled with huge pages: all at once, and as it was.
        batch.call("madvise", record.start, record.size, mman.MADV_HUGEPAGE, label=f"{record.start:x}")


def is_emptied(flags: frozenset[str]) -> bool:
    """Whether a fork, and a restart, leaves the child nothing of what is in a mapping with these VmFlags."""
    return "wf" in flags


def finish(batch: Batch, record: MappingRecord, guards: Sequence[GuardRecord], *, writable: bool) -> None:
    """Adds the calls that make the mapping, now filled, what it was. *guards*: those that lie in it."""
    start, size = record.start, record.size
    label = f"{start:x}"
    if mman.MADV_WIPEONFORK in record.advice:
        # An image may have its pages all the same: one that was made by somebody else, or before this was so.
        batch.call("madvise", start, size, mman.MADV_DONTNEED, label=label)
        guards = ()  # a fork takes away these too (dup_mmap() in the kernel's mm/mmap.c copies no page table)
    for guard in guards:
        batch.call("madvise", guard.start, guard.end - guard.start, mman.MADV_GUARD_INSTALL, label=label)
    for advice in record.advice:
        batch.call("madvise", start, size, advice, label=label)
    if record.name:
        name = record.name + b"\0"
        batch.call("prctl", _PR_SET_VMA, _PR_SET_VMA_ANON_NAME, start, size, name, must=False, label=label)
    if record.key:
        batch.call("pkey_mprotect", start, size, record.protection, record.key, label=label)
    elif writable and record.protection | mman.PROT_READ | mman.PROT_WRITE != record.protection:
        batch.call("mprotect", start, size, record.protection, label=label)
    if record.locked:
        batch.call("mlock2", start, size, mman.MLOCK_ONFAULT if record.lock_on_fault else 0, label=label)
    if record.sealed:
        batch.call("mseal", start, size, 0, label=label)


def page_aligned(size: int) -> int:
    """*size* rounded up to whole pages."""
    return -(-size // cpu.PAGE_SIZE) * cpu.PAGE_SIZE
